"""What a stage must offer to play a role, and what it may say of itself: all that passes and backends ask of a stage.

Protocols and a plain base, so that nobody but `dsl` needs to know how stages are declared.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from penstock.ir.host import Text

METHODS: dict[str, tuple[tuple[str, ...], ...]] = {
    "drafter": (("propose",),),
    "scorer": (("score",), ("extend_group", "settle")),
    "transform": (("transform",), ("compose",), ("start", "step")),
    "gate": (("start", "step"),),
    "learner": (("learn",),),
    "tap": (("learn",),),
    "denoiser": (("denoise",),),
    "unmasker": (("predict", "propose"),),
    "prompt": (("rewrite",), ("rewrite_tokens",)),
    "program": (("run",),),
}
"""By role, the methods that a stage must have: all of one of these groups.

- ``propose(step, stage) -> Draft`` traces the drafting; ``law``, what drafts are distributed like, is said beside it.
- ``score(step, stage) -> Scored`` traces the scoring of root and draft; optional ``prepare(step, stage)``, traced before the
  draft, for what every reader of the view has to find there.
- ``extend_group`` and ``settle`` search on a frontier.
- ``transform(logits) -> logits``, `Composer` and `Automaton` shape what is selected from.
- ``learn(step, commit, stage)`` is traced once the step has been decided; any stage may have it. What a tap carries in its
  registers is read off when a row is done, and by nobody before.
- ``denoise(step, draft, stage) -> logits [b,d,l,v]``: a forward over every branch of a canvas draft.
- ``predict(logits) -> (token, confidence)`` and ``propose(denoised) -> Proposals``, of canvases ``[*b,l]``: the static step,
  deterministic, for drafts and verdicts alike.
- ``rewrite(text) -> text`` or ``rewrite_tokens(ids) -> ids``; ``run(runner, requests, ...)`` is host code around a pipeline.
"""


class Says:
    """What a stage may say of itself; a subclass overrides what is not so."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What it uses of its models, of: tree, chunk, embeds, layers, hidden, kv_read, window, encoder, bidirectional."""
    room: ClassVar[int] = 0
    """In-step nodes that views need slots for."""
    room_a_site: ClassVar[int] = 0
    """In-step nodes that it appends to its views at every site."""
    layers_needed: ClassVar[Mapping[str, int]] = {}
    """The layers that a small model must have for it, by model."""
    hard_mask: ClassVar[bool] = False
    """It forbids tokens, and does nothing else."""
    shrinks: ClassVar[bool] = False
    """What it leaves may be less than what a mask after it allows."""
    one_hot: ClassVar[bool] = False
    """It leaves one token, the likeliest."""
    only_sampled: ClassVar[bool] = False
    """It is there for a draw: where the likeliest token is selected it says nothing."""
    raw_wanted: ClassVar[bool] = False
    """Its path state reads the raw logits that a token was selected from."""
    status: ClassVar[int | None] = None
    """What the end of its path makes of a row; None: it closes the step, not the row."""
    listens: ClassVar[tuple[str, ...]] = ()
    """Views whose hidden states it wants of the scorer."""
    any_lead: ClassVar[bool] = False
    """Its path state takes sites as they come, in whatever leading dimensions: because it is host code, or for speed."""
    bounded: ClassVar[bool] = False
    """It reads where its row ends: ``limit``, in generated tokens, is set on it as a request sets a field."""
    decision: ClassVar[str | None] = None
    """A register of its own that decides what the next step looks like."""
    clocked: ClassVar[bool] = False
    """What it does depends on how long steps take."""
    shown: ClassVar[tuple[str, ...]] = ()
    """Registers of its own that are read off when a row is done, beside those of taps."""

    @property
    def remark(self) -> str:
        """What its user should know of what it promises; empty where that is all plain."""
        return ""

    def views(self) -> dict[str, str]:
        """The model of every view that it reads."""
        return {}

    def refuse(self, limit: int) -> None:
        """Raises PenstockError where rows of at most so many tokens cannot be what it promises."""

    def forget(self) -> None:
        """What it has worked out of texts is of no use any more: no row of an earlier batch is left."""

    def knowing(self, text: Text) -> Self:
        """The same stage where it runs: told what the tokens are that it shapes."""
        return self

    def registers(self, rows: int, vocab: int) -> dict[str, Any]:
        """What it carries from step to step, as a new batch begins."""
        return {}


@runtime_checkable
class SiteTransform(Protocol):
    """Shapes the logits of one site by themselves."""

    def transform(self, logits: Any) -> Any: ...


@runtime_checkable
class Composer(Protocol):
    """Shapes the logits of all sites with more than themselves: other views, one more forward.

    ``compose_text`` is the same for the text oracle: at one site, everything from scratch.
    """

    def compose(self, step: Any, logits: Any, stage: str) -> Any: ...


@runtime_checkable
class Automaton(Protocol):
    """History on a path: state from the prompt, one token further, with the raw logits of the site it was selected from.

    Optional, each for one site: ``read(state, logits) -> logits``; ``cut(state, raw) -> bool``, the token selected here closes
    the step; ``end(state) -> bool``, the path is closed at this state.
    """

    def start(self, prompt: Any, vocab: int) -> Any: ...
    def step(self, state: Any, token: Any, raw: Any) -> Any: ...


@runtime_checkable
class RewritesTokens(Protocol):
    """Makes a view's prompt of the ids of the request's."""

    def rewrite_tokens(self, tokens: Sequence[int]) -> Sequence[int]: ...


def lacking(stage: Any) -> str:
    """What a stage of its role should have and has not; empty where it has all."""
    groups = METHODS.get(stage.role, ())
    if not groups or any(all(hasattr(stage, name) for name in group) for group in groups):
        return ""
    return ", or ".join(" and ".join(group) for group in groups)
