"""What flows between phases while a step is traced: Draft, Scored, Commit. The graph itself holds only tensors and handles.

Sites: 0 is the root; the site of node i is 1 + the first node with the same parent site and token. A dead site (a duplicate's
own) is never read.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Law = Literal["fixed", "iid", "without_replacement", "arbitrary"]


@dataclass(frozen=True)
class LawByRow:
    """Rows drafted differently: ``which [b]`` counts the laws in ``among``."""

    among: tuple[Law, ...]
    which: Any

    def __str__(self) -> str:
        return " or ".join(self.among)


@dataclass
class Draft:
    """Proposed nodes, in draw order; tensors lead with the rows, n nodes.

    ``q`` is held by node, not by site: the very row its draw was made from, the same for all siblings.
    """

    token: Any
    parents: Any
    """Parent node by node, -1 the root: a tuple where the topology is constant, else ``[b,n]``."""
    parent_site: Any
    site: Any
    rank: Any
    valid: Any
    law: Law | LawByRow
    nodes: int
    depth: int
    """The longest path, in tokens."""
    width: int
    """The most children a site can have, duplicates counted."""
    q: Any = None
    probes: "Probes | None" = None
    begun: "Begun | None" = None
    stage: str = ""


@dataclass
class Probes:
    """Nodes that one view scores and nobody accepts, after the draft's own: one chain below each site that has any.

    Each is seen only by its own chain. What the chain of the last committed site answered is carried to the next step.
    """

    embeds: Any
    """``[p,w]``, shared by all rows, or ``[b,p,w]``: input vectors; a probe has no token."""
    parents: tuple[int, ...]
    """Parent node of each, draft nodes counted first."""
    view: str
    register: str
    """Carries the logits ``[b,m,v]``, m the longest chain; zeros where the site's own is shorter."""


@dataclass
class Begun:
    """A forward of root and nodes that stopped at a layer, in the view that scores them: the scorer goes on from there."""

    view: str
    layer: int
    hidden: tuple[Any, ...]
    """States after each layer up to there, ``[b,1+n,w]``."""


@dataclass
class Scored:
    """A target's logits by site, root first, as scored (``raw``) and as shaped so far (``composed``)."""

    raw: Any
    composed: Any
    hidden: tuple[Any, ...] = ()
    """States after each layer, ``[b, 1+n, w]``, where a stage wants them."""
    views: dict[str, Any] = field(default_factory=dict)
    """Raw logits by site of other views, by name."""


@dataclass
class Commit:
    """What a step commits: ``token [b,m]``, ``count [b]``, and ``node [b,m]``, the site each token was selected from."""

    token: Any
    node: Any
    count: Any
    last_site: Any
    """``[b]``: the site of the last token; per-site values carried on are gathered here."""
    last_token: Any


@dataclass
class Denoised:
    """Canvases ``[*b,l]`` with what is predicted at every position: what an unmasker chooses from."""

    tokens: Any
    open: Any
    """bool: the positions that may be committed."""
    x0: Any
    conf: Any


@dataclass
class Proposals:
    """Ordered (position, token) pairs, of which the first ``count [*b]`` are committed."""

    position: Any
    """``[*b,l]``: every position once, the first to commit first."""
    token: Any
    """``[*b,l]``: by position, not by order."""
    count: Any


@dataclass
class CanvasDraft:
    """A chain of canvases ``[b,d,l]``: the first is where the row stands, each further one guessed to be a static step on."""

    tokens: Any
    valid: Any
    """bool ``[b,d]``."""
