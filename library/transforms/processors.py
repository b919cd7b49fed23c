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
        view = self.view or next(iter(step.scored.views))
        token, parents = (None, ()) if step.draft is None else (step.draft.token, step.draft.parents)
        return shaped_by_text(f"view:{view}", "seq", logits, token, parents, self.padding, shape=self.shaped)

    def compose_text(self, logits: Tensor, texts: Any, text: Sequence[int]) -> Tensor:
        """`compose` for the text oracle."""
        ids = [*texts.prompts[self.view or next(iter(texts.prompts))], *text]
        padding = 0 if isinstance(self.padding, Param) else self.padding
        return self.shaped(torch.tensor([ids]), logits[None].clone(), padding)[0]

    def shaped(self, ids: Tensor, logits: Tensor, padding: int) -> Tensor:
        """What the processors make of the logits ``[n,v]`` of texts ``[n,t]``."""
        padded = torch.nn.functional.pad(ids, (padding, 0), value=self.pad)
        for each in self.processors:
            skips = skipping(each)
            logits = each(padded, logits) if skips is None else skips(ids, logits)
        return logits

    def check_memory(self, vocab: int) -> None:
        """Raises PenstockError for a processor that answers differently once it has been asked something else."""
        draws = torch.Generator().manual_seed(0)
        one, other = torch.randint(vocab, (2, 1, PROBE), generator=draws)
        logits = torch.randn(1, vocab, generator=draws)
        for each in self.processors:
            try:
                first, _, again = ((skipping(each) or each)(ids, logits.clone()) for ids in (one, other, one))
                same = torch.equal(first, again)
            except Exception:  # one that counts on being asked in order may do anything
                same = False
            if not same:
                raise PenstockError(
                    f"stage {self.kind}: {type(each).__name__} remembers what it was asked, and a draft asks about texts "
                    "that may never be",
                    where=self.source,
                    fix="leave the drafter out, or use a stage of its kind",
                )

    def small(self, v: int) -> "LogitsProcessors":
        return self


def skipping(processor: Any) -> Processor | None:
    """What does the same to texts without padding as a processor that was made to skip that of one batch; None for any other."""
    if not isinstance(getattr(processor, "prompt_ignore_length", None), Tensor):
        return None
    made: Processor = type(processor)(processor.penalty)
    return made
