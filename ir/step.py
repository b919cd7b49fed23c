"""The step as a stage sees it while it is traced: who is live, what views answer, what registers carry."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from penstock.ir.errors import PenstockError
from penstock.ir.lift import advanced, lift
from penstock.ir.ops.forward import forward
from penstock.ir.ops.layers import head, layers_of
from penstock.ir.ops.lookup import text_by_site
from penstock.ir.ops.probes import apart, by_site, chains, flattened, grouped, with_probes
from penstock.ir.ops.rows import at_each
from penstock.ir.ops.sequence import get, look, request_parameter
from penstock.ir.ops.tree import with_parents
from penstock.ir.ports import Begun, Draft, Probes, Scored
from penstock.ir.trace import Tracer
from penstock.ir.types import type_of


@dataclass
class Step:
    """One step under construction; every attribute is a traced value or a constant."""

    tracer: Tracer
    vocab: int
    mirrored: tuple[Any, ...] = ()
    """Transforms copied onto a drafter's logits, in reading order."""
    foreseen: str | None = None
    """The acceptor whose selections drafts guess at, on its own noise."""
    bucket: tuple[int, ...] | None = None
    """The Decision of the last step that this graph is for, where a stage has its steps traced by bucket."""
    listened: frozenset[str] = frozenset()
    """Views whose hidden states some stage wants of the scorer."""
    seat: str = ""
    """The view whose text paths begin with: the verifier's."""
    draft: Draft | None = None
    scored: Scored | None = None
    path_states: dict[str, Any] = field(default_factory=dict)
    """Path state by site, by stage name; there once the draft is scored."""
    fed: dict[str, str] = field(default_factory=dict)
    """Views that have been fed the root, with the stage that had them be."""
    rewritten: dict[str, str] = field(default_factory=dict)
    """Views that read more than their text, with the stage that sees to it."""
    carried: dict[str, Any] = field(default_factory=dict)
    """Per-site values ``[b,sites,...]`` to gather at the last committed site and carry on, by register."""
    started: Any = None
    """When the step began, where a drafter wants it timed."""
    length: Any = None
    live: Any = None
    steps: Any = None
    key: Any = None
    limit: Any = None

    def __post_init__(self) -> None:
        self.length, self.live, self.steps, self.key, self.limit = look("seq")
        self.tracer.live = self.live

    def forward(self, view: str, tokens: Any = None, parents: Any = (), **options: Any) -> tuple[Any, Any]:
        """``(logits [b, root + m, v], hidden)`` of a view; see `ops.forward.forward`."""
        if tokens is None:
            options["root"] = True
        if options.get("root") and "hidden" not in options:
            self._feed_once(view)
        if tokens is None:
            return forward(f"view:{view}", "seq", **options)  # type: ignore[no-any-return]
        return forward(f"view:{view}", "seq", tokens, parents, **options)  # type: ignore[no-any-return]

    def _feed_once(self, view: str) -> None:
        """A view can be fed its root, and what hangs on it, once a step."""
        if view in self.fed:
            raise PenstockError(
                f"stages {self.fed[view]} and {self.tracer.stage} both score in the view {view}, and not the same rows",
                fix="give one of them a view of its own, declared under `views:`",
            )
        self.fed[view] = self.tracer.stage

    @contextmanager
    def mirroring(self, on: bool) -> Iterator[None]:
        """Inside, a drafter's logits are shaped as the target's only if it wants that."""
        saved, self.mirrored = self.mirrored, self.mirrored if on else ()
        try:
            yield
        finally:
            self.mirrored = saved

    @property
    def views(self) -> list[str]:
        """The views that the step has, by name."""
        return [name.removeprefix("view:") for name in self.tracer.versions if name.startswith("view:")]

    def model(self, view: str) -> Any:
        """The facts of a view's model: ``vocab``, ``width``, ``layers``, ``capabilities``."""
        handle = self.tracer.versions.get(f"view:{view}")
        if handle is None:
            raise PenstockError(f"no stage scores in the view {view}", fix="name the view that the verifier scores in")
        return handle.node.meta["example"].model

    def read(self, register: str) -> Any:
        """What the register carries from the last step."""
        return get(f"reg:{register}")

    def carry(self, register: str, by_site: Any) -> None:
        """Carry on the value of the site that the step's last token was selected from."""
        self.carried[register] = by_site

    def said(self, prompt: bool) -> Any:
        """``[b,sites,w]``: the text up to every site, its prompt included or not; see `ops.lookup.text_by_site`."""
        path = (self.draft.parent_site, self.draft.token, self.draft.depth) if self.draft else (None, None, 0)
        return text_by_site(f"view:{self.seat}", "seq", *path, prompt)

    def asked(self, name: str) -> Any:
        """A request parameter, ``[b]``."""
        return request_parameter("seq", name)

    def score(self, view: str, **options: Any) -> Scored:
        """The view's logits at every site of the draft, the root fed with it."""
        scored = self._scored(view, options)
        scored.views[view] = scored.raw
        return scored

    def _scored(self, view: str, options: dict[str, Any]) -> Scored:
        draft, options = self.draft, ({"want_hidden": True} if view in self.listened else {}) | options
        if draft is None:
            logits, hidden = self.forward(view, **options)
            return Scored(logits, logits, hidden)
        if draft.begun is not None and draft.begun.view == view:
            return self._score_on(draft.begun, options)
        if draft.probes is not None and draft.probes.view == view:
            return self._score_with_probes(draft, draft.probes, options)
        logits, hidden = self.forward(view, draft.token, draft.parents, root=True, **options)
        return Scored(logits, logits, hidden)

    def beside(self, view: str) -> Any:
        """``[b,sites,v]``: raw logits of any view at every site, scored once a step whoever asks."""
        assert self.scored is not None, "other views are read once the draft is scored"
        self._reads_its_text(view)
        if view not in self.scored.views:
            self.scored.views[view] = self.score(view).raw
        return self.scored.views[view]

    def exits(self, view: str, layers: tuple[int, ...]) -> Any:
        """``[b,layers,sites,v]``: what the verifier's view would say at every site if each of these layers were its last."""
        assert self.scored is not None, "layers are read once the draft is scored"
        self._reads_its_text(view)
        if view != self.seat:
            what = f"stage {self.tracer.stage} reads layers of the view {view}, and the verifier scores in {self.seat}"
            raise PenstockError(what, fix=f"name the view {self.seat}")
        if view not in self.scored.views:
            what = f"stage {self.tracer.stage} reads layers of the view {view}, and stage {self.fed[view]} scores some rows in it"
            raise PenstockError(what, fix="decode with a verifier that scores all rows in it")
        return head(f"view:{view}", layers_of(*(self.scored.hidden[layer - 1] for layer in layers)))

    def _reads_its_text(self, view: str) -> None:
        """Raises PenstockError for a view that cannot be compared: it is fed more than its text."""
        if view in self.rewritten:
            raise PenstockError(
                f"stage {self.tracer.stage} compares the view {view} with another, and stage {self.rewritten[view]} has it "
                "read more than its text",
                fix="let it read a view of its own on the same prompt, declared under `views:`",
            )

    def score_more(self, view: str, tokens: Any) -> Any:
        """``[b,sites,k,v]``: what a view would say after one more token at every site, ``tokens [b,sites,k]``.

        One more forward, over probes below the nodes that the view has scored; none of them is kept.
        """
        sites, k = tokens.node.meta["example"].shape[1:]
        self.beside(view)
        logits, _ = self.forward(view, flattened(tokens), tuple(site - 1 for site in range(sites) for _ in range(k)))
        return grouped(logits, k)

    def _score_on(self, begun: Begun, options: dict[str, Any]) -> Scored:
        """The layers above those that drafted, on what these left at root and nodes."""
        above = begun.layer, self.model(begun.view).layers
        logits, hidden = self.forward(begun.view, layers=above, hidden=begun.hidden[-1], **options)
        return Scored(logits, logits, (*begun.hidden, *hidden))

    def _score_with_probes(self, draft: Draft, probes: Probes, options: dict[str, Any]) -> Scored:
        """Draft and probes in one call; the probes' logits go by site to the register that carries them."""
        tokens, embeds, use = with_probes(draft.token, probes.embeds)
        inputs = dict(embeds=embeds, use_embed=use)
        answer = self.forward(probes.view, tokens, with_parents(draft.parents, probes.parents), root=True, **inputs, **options)
        (logits, hidden), (probed, _) = apart(answer, 1 + draft.nodes)
        self.carry(probes.register, by_site(probed, chains(probes.parents, draft.nodes)))
        return Scored(logits, logits, hidden)


def shaped(step: Step, logits: Any, states: Mapping[str, Any]) -> Any:
    """A drafter's logits ``[b,t,v]`` after the mirrored transforms, given their path states ``[b,t,...]``."""
    for placed in step.mirrored:
        with step.tracer.stage_of(placed.name, placed.source, origin="mirror"):
            logits = transformed(step, placed, logits, states.get(placed.name))
    return logits


def transformed(step: Step, placed: Any, logits: Any, state: Any) -> Any:
    """One transform at every site: by its path state if it has one."""
    bound = placed.bound(step)
    return shaped_as(logits, lift(bound, "transform", logits) if state is None else lift(bound, "read", state, logits))


def shaped_as(logits: Any, made: Any) -> Any:
    """What a stage made of logits, which must be logits again. Raises PenstockError otherwise."""
    before, after = logits.node.meta["example"], made.node.meta["example"] if hasattr(made, "node") else made
    if not isinstance(after, Tensor) or after.shape != before.shape or not after.is_floating_point():
        told, given = (type_of(value, logits.tracer.vocab) for value in (after, before))
        raise PenstockError(f"stage {logits.tracer.stage} makes {told} of logits {given}", fix="return logits of as many tokens")
    return made


def stepped(step: Step, states: Mapping[str, Any], token: Any) -> dict[str, Any]:
    """Mirrored path states one token further."""
    bound = {placed.name: placed.bound(step) for placed in step.mirrored if placed.name in states}
    return {name: advanced(bound[name], state, token, None) for name, state in states.items()}


def gathered(states: Mapping[str, Any], index: Any) -> dict[str, Any]:
    """Path states at other sites."""
    return {name: at_each(state, index) for name, state in states.items()}
