"""Logits processors of transformers, and of anyone, as a stage."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, SkipValidation
from torch import Tensor

from penstock.dsl.names import ViewName
from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.ops.paths import shaped_by_text

Processor = Callable[[Any, Any], Any]
PROBE = 3
"""Tokens of the texts that show whether a processor remembers."""


class LogitsProcessors(Stage):
    """Callables ``(ids [n,t], logits [n,v]) -> logits`` one after the other, each site with the text that it stands at.

    Those of one depth of a draft share a call. One that remembers earlier calls would be told of drafts that are never
    accepted, so it is refused where there is a drafter. Holds Python objects: a spec file cannot name it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    kind: ClassVar[str] = "transform.logits_processors"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    data: ClassVar[bool] = False

    processors: SkipValidation[tuple[Processor, ...]] = ()
    """As in transformers' `LogitsProcessorList`."""
    view: ViewName | None = None
    """The view whose text is shown to them; by default the verifier's."""
    padding: int | Param = 0
    """Tokens of padding that stood before the prompt, and that they are shown too, as `generate` shows them."""
    pad: int = 0
    """The id of the padding."""

    def compose(self, step: Any, logits: Any, stage: str) -> Any:
        if step.draft is not None:
            self.check_memory(step.vocab)
        view = self.view or step.seat
        token, parents = (None, ()) if step.draft is None else (step.draft.token, step.draft.parents)
        return shaped_by_text(f"view:{view}", "seq", logits, token, parents, self.padding, shape=self.shaped)

    def compose_text(self, logits: Tensor, texts: Any, text: Sequence[int]) -> Tensor:
        """`compose` for the text oracle."""
        ids = [*(texts.prompts[self.view] if self.view else texts.prompt), *text]
        padding = 0 if isinstance(self.padding, Param) else self.padding
        return self.shaped(torch.tensor([ids]), logits[None].clone(), padding)[0]

    def shaped(self, ids: Tensor, logits: Tensor, padding: int) -> Tensor:
        """What the processors make of the logits ``[n,v]`` of texts ``[n,t]``."""
        padded = torch.nn.functional.pad(ids, (padding, 0), value=self.pad)
        for each in self.processors:
            skips = skipping(each)
            shape = logits.shape
            logits = each(padded, logits) if skips is None else skips(ids, logits)
            if not isinstance(logits, Tensor) or logits.shape != shape:
                given = list(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
                raise self.unfit(each, f"returned {given}, not logits {list(shape)}", "return what was given, with other values")
        return logits

    def unfit(self, processor: Any, does: str, fix: str) -> PenstockError:
        return PenstockError(f"stage {self.kind}: {type(processor).__name__} {does}", where=self.source, fix=fix)

    def check_memory(self, vocab: int) -> None:
        """Raises PenstockError for a processor that answers differently once it has been asked something else."""
        draws = torch.Generator().manual_seed(0)
        one, other = torch.randint(vocab, (2, 1, PROBE), generator=draws)
        logits = torch.randn(1, vocab, generator=draws)
        for each in self.processors:
            fix = "leave the drafter out, or use a stage of its kind"
            try:
                first, _, again = ((skipping(each) or each)(ids, logits.clone()) for ids in (one, other, one))
                same = not isinstance(first, Tensor) or torch.allclose(first, again, rtol=0, atol=0, equal_nan=True)
            except Exception as error:  # one that counts on being asked in order may do anything
                raise self.unfit(each, f"fails on a text that it is tried on: {type(error).__name__}: {error}", fix) from error
            if not same:
                raise self.unfit(each, "remembers what it was asked, and a draft asks about texts that may never be", fix)

    def small(self, v: int) -> "LogitsProcessors":
        return self


def skipping(processor: Any) -> Processor | None:
    """What does the same to texts without padding as a processor that was made to skip that of one batch; None for any other."""
    if not isinstance(getattr(processor, "prompt_ignore_length", None), Tensor):
        return None
    made: Processor = type(processor)(processor.penalty)
    return made
