"""The runner: a pipeline bound to its models, and what it makes of prompts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from torch import Tensor

from penstock.backends.runtime.runner import Decoded, Decoder, Request, forwards, read
from penstock.decode.asked import Params, check_prompts, generate, request_values
from penstock.decode.binding import Bound, Loaded
from penstock.decode.dialogue import Prompt
from penstock.decode.generation import Generation, Stats
from penstock.decode.hooked import generated
from penstock.decode.means import BATCH, Means
from penstock.decode.streamed import told
from penstock.decode.watch import Seen, Watch
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.rows import State
from penstock.library.taps.logprobs import Logprobs

Of = Literal["raw", "composed"]


class Runner:
    """Continues prompts with a pipeline; models are loaded once.

    ``timed``: keep time by stage, a few microseconds a step.
    """

    def __init__(
        self, pipeline: Pipeline, means: Means | None = None, timed: bool = False, models: Mapping[str, Any] | None = None
    ) -> None:
        self.pipeline, self.means, self.timed = pipeline, means or Means(), timed
        self.loaded = Loaded.of(pipeline, self.means, models)
        self.text = self.loaded.text
        self.bound = cache(self._bound)
        self.bound(None)

    @property
    def decoder(self) -> Decoder:
        """What runs steps on states: for host programs, which fork, take and join rows."""
        return self.bound(None).decoder

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        params: Params | None = None,
        logprobs: Of | None = None,
        batch: int | None = None,
    ) -> list[Generation]:
        """Continue the prompts, all at once or ``batch`` at a time; a row's tokens do not depend on what stands beside it.

        ``logprobs``: of the model's own logits (raw) or of what was selected from (composed).
        Raises PenstockError for what cannot be asked.
        """
        size = batch or max(len(prompts), 1)
        each = self.each(prompts, max_new_tokens=max_new_tokens, seed=seed, params=params, logprobs=logprobs, batch=size)
        return list(each)

    def each(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        params: Params | None = None,
        logprobs: Of | None = None,
        batch: int = BATCH,
        skip: int = 0,
    ) -> Iterator[Generation]:
        """As `generate`, in order, each batch as it is done; the first ``skip`` are left out, as if they had been decoded."""
        bound = self.bound(logprobs)
        requests = self.requests(prompts, max_new_tokens, seed, params)
        for first in range(skip - skip % batch, len(prompts), batch):
            watch = Watch(bound.clock, logprobs is not None)
            for state in bound.decoder.steps(bound.decoder.start(requests[first : first + batch])):
                watch.see(state)
            yield from self.results(prompts[first : first + batch], state, watch)[max(skip - first, 0) :]

    def stream(
        self, prompt: Prompt, *, max_new_tokens: int | None = None, seed: int | None = None, params: Params | None = None
    ) -> Iterator[str]:
        """The continuation of one prompt piece by piece, as steps commit it; nothing that was told is taken back."""
        states = self.decoder.steps(self.decoder.start(self.requests([prompt], max_new_tokens, seed, params)))
        return told(self.text.decode(self.ended(read(state)[0].tokens)) for state in states)

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Any = (),
        stopping_criteria: Any = (),
        generation_config: Any = None,
        pipeline_streamer: Any = None,
        **rest: Any,
    ) -> Any:
        """``model.generate(ids, custom_generate=runner, pipeline_streamer=...)``: what transformers calls; see `hooked`."""
        given = logits_processor, stopping_criteria, generation_config, pipeline_streamer
        return generated(self.pipeline, self.loaded, self.means, model, input_ids, *given, **rest)

    def requests(
        self, prompts: Sequence[Prompt], max_new_tokens: int | None, seed: int | None, params: Params | None
    ) -> list[Request]:
        """What the decoder is asked, every request with its noise key."""
        check_prompts(prompts)
        if not prompts:
            return []
        asked = generate(self.pipeline, seed, max_new_tokens)
        values = request_values(self.pipeline, params or {}, len(prompts))
        rows = zip(prompts, values, strict=True)
        made = [Request(self.views_of(prompt), asked.max_new_tokens, None, row) for prompt, row in rows]
        return self.decoder.keyed(made, asked.seed)

    def results(self, prompts: Sequence[Prompt], state: State, watch: Watch) -> list[Generation]:
        """What became of the rows of a batch."""
        rows = enumerate(zip(prompts, read(state), forwards(state), strict=True))
        return [self.result(*each, watch.of(row), self.taps(state, row)) for row, each in rows]

    def result(
        self, prompt: Prompt, decoded: Decoded, counts: Mapping[str, float], seen: Seen, taps: dict[str, list[float]]
    ) -> Generation:
        """What became of one prompt."""
        drafting = self.bound(None).step.plan.drafting
        drafted = sum(counts[view] for view in counts if view in drafting)
        tokens, target = self.ended(decoded.tokens), sum(counts.values()) - drafted
        stats = Stats(len(tokens), decoded.steps, target, drafted, seen.seconds, seen.stages)
        logprobs = None if seen.logprobs is None else seen.logprobs[: len(tokens)]
        return Generation(prompt, self.text.decode(tokens), tokens, decoded.status, stats, logprobs, taps)

    def taps(self, state: State, row: int) -> dict[str, list[float]]:
        """What taps carry for a row."""
        names = [name for p in self.bound(None).step.plan.stages if p.stage.role == "tap" for name in p.stage.registers(1, 1)]
        return {name: state[f"reg:{name}"].value[row].tolist() for name in names}  # type: ignore[attr-defined]

    def ended(self, tokens: list[int]) -> list[int]:
        """Up to the first end of text: a canvas goes on after it."""
        end = next((i for i, token in enumerate(tokens) if token in self.text.eos), len(tokens))
        return tokens[: end + 1]

    def views_of(self, prompt: Prompt) -> dict[str, list[int]]:
        """The prompt's ids as every view sees it; of a dialogue, as its target's chat template writes it."""
        text = prompt if isinstance(prompt, str) else self.text.dialogue(prompt)
        prompts = {name: view.prompt for name, view in self.pipeline.views.items()}
        seen = {view: rewritten(prompts.get(view), text) for view in self.decoder.models}
        return {view: self.text.encode(each, special=isinstance(prompt, str)) for view, each in seen.items()}

    def _bound(self, logprobs: Of | None) -> Bound:
        pipeline = self.pipeline if logprobs is None else self.pipeline >> Logprobs(of=logprobs)
        return Bound.of(pipeline, self.loaded, self.means, self.timed)


def rewritten(stage: Stage | None, prompt: str) -> str:
    """A view's own prompt."""
    return prompt if stage is None else str(stage.rewrite(prompt))  # type: ignore[attr-defined]
