"""What a stage must offer to play a role: protocols, so that passes need not know how stages are declared."""

from typing import Any, Protocol, runtime_checkable


class StageLike(Protocol):
    """Any stage, as passes see it."""

    kind: Any
    role: Any
    effect: Any

    def parts(self) -> tuple[Any, ...]: ...


@runtime_checkable
class Drafter(Protocol):
    """Proposes nodes; ``law`` is what they are known to be distributed like."""

    law: Any

    def propose(self, step: Any, stage: str) -> Any:
        """Trace the drafting and return a `Draft`."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Scores the root and the draft with a view.

    Optional: ``prepare(step, stage)``, traced before the draft, for what every reader of the view has to find there.
    """

    def score(self, step: Any, stage: str) -> Any:
        """Trace the scoring and return a `Scored`."""
        ...


@runtime_checkable
class SiteTransform(Protocol):
    """Shapes the logits of one site by themselves."""

    def transform(self, logits: Any) -> Any: ...


@runtime_checkable
class Composer(Protocol):
    """Shapes the logits of all sites with more than themselves: other views, one more forward."""

    def compose(self, step: Any, logits: Any, stage: str) -> Any: ...


@runtime_checkable
class Automaton(Protocol):
    """History on a path: state from the prompt, one token further, with the raw logits of the site it was selected from.

    Optional, each for one site: ``read(state, logits) -> logits``; ``cut(state, raw) -> bool``, the token selected here closes
    the step; ``end(state) -> bool``, the path is closed at this state; ``raw_wanted``, whether ``step`` reads raw logits;
    ``status``, what ``end`` makes of the row, None where it closes only the step.
    """

    def start(self, prompt: Any, vocab: int) -> Any: ...
    def step(self, state: Any, token: Any, raw: Any) -> Any: ...


class Denoiser(Protocol):
    """Predicts every position of a canvas, in every branch of a draft."""

    def denoise(self, step: Any, draft: Any, stage: str) -> Any:
        """Trace the forward and return logits ``[b,d,l,v]``."""
        ...


class Unmasker(Protocol):
    """The static step of a canvas: what is taken from logits, and which of it is committed. Deterministic."""

    def predict(self, logits: Any) -> Any:
        """``(token, confidence)`` at every position."""
        ...

    def propose(self, denoised: Any) -> Any:
        """`Proposals`, of canvases ``[*b,l]``: it serves drafts, made with carried predictions, and verdicts alike."""
        ...


class Program(Protocol):
    """Host code around a pipeline: it drives a `Runner`, and its rows are one batch."""

    def run(self, runner: Any, requests: Any, *args: Any) -> Any: ...
