"""The runner: a pipeline bound to its models, and what it makes of prompts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal

from torch import Tensor

from penstock.backends.inductor.artefact import Report
from penstock.backends.runtime.runner import Decoded, Decoder, Request, forwards, read
from penstock.decode.asked import Params, check_prompts, count, generate, request_values
from penstock.decode.binding import Bound, Loaded, Settled
from penstock.decode.dialogue import Prompt
from penstock.decode.generation import Generation, Stats
from penstock.decode.hooked import generated
from penstock.decode.means import BATCH, Means
from penstock.decode.stops import Stops
from penstock.decode.streamed import told
from penstock.decode.watch import Seen, Watch
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.roles import RewritesTokens
from penstock.ir.rows import State
from penstock.library.taps.logprobs import Logprobs
from penstock.library.transforms.processors import LogitsProcessors

Of = Literal["raw", "composed"]


class Runner:
    """Continues prompts with a pipeline; models are loaded once.

    ``timed``: keep time by stage, a few microseconds a step.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        means: Means | None = None,
        timed: bool = False,
        models: Mapping[str, Any] | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        self.pipeline, self.means, self.timed = pipeline, means or Means(), timed
        self.loaded = loaded or Loaded.of(pipeline, self.means, models)
        self.text, self.settled = self.loaded.text, Settled.of(pipeline, self.loaded)
        self.bound = cache(self._bound)
        self.bound(None)

    def under(self, pipeline: Pipeline) -> "Runner":
        """Another pipeline on the models that are loaded here, all of which it must name as this one does."""
        return Runner(pipeline, self.means, self.timed, loaded=self.loaded)

    @property
    def decoder(self) -> Decoder:
        """What runs steps on states: for host programs, which fork, take and join rows."""
        return self.bound(None).decoder

    @property
    def compiled(self) -> Report | None:
        """What compiling took so far; None where nothing is compiled."""
        return self.bound(None).compiled

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        params: Params | None = None,
        stop: Sequence[str] | None = None,
        logprobs: Of | None = None,
        batch: int | None = None,
    ) -> list[Generation]:
        """Continue the prompts, all at once or ``batch`` at a time; a row's tokens do not depend on what stands beside it.

        ``stop``: texts that end a continuation, instead of the spec's.
        ``logprobs``: of the model's own logits (raw) or of what was selected from (composed).
        Raises PenstockError for what cannot be asked.
        """
        check_prompts(prompts)
        size = max(len(prompts), 1) if batch is None else batch
        asked = max_new_tokens, seed, params, stop
        return list(self.each(prompts, *asked, logprobs=logprobs, batch=size))

    def each(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int | None = None,
        seed: int | None = None,
        params: Params | None = None,
        stop: Sequence[str] | None = None,
        *,
        logprobs: Of | None = None,
        batch: int = BATCH,
        skip: int = 0,
    ) -> Iterator[Generation]:
        """As `generate`, in order, each batch as it is done; the first ``skip`` are left out, as if they had been decoded."""
        count("batch", batch, 1), count("skip", skip, 0)
        bound, stops = self.bound(logprobs), self.stops(stop)
        requests = self.requests(prompts, max_new_tokens, seed, params)
        for first in range(skip - skip % batch, len(prompts), batch):
            watch, told = Watch(bound.clock, logprobs is not None), dict[int, int]()
            for state in bound.states(requests[first : first + batch]):
                stops.end(state, told)
                watch.see(state)
            yield from self.results(prompts[first : first + batch], state, watch, stops)[max(skip - first, 0) :]

    def stream(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        params: Params | None = None,
        stop: Sequence[str] | None = None,
    ) -> Iterator[str]:
        """The continuation of one prompt piece by piece, as steps commit it; nothing that was told is taken back."""
        stops = self.stops(stop)
        return told(stops.told(self.texts(self.requests([prompt], max_new_tokens, seed, params), stops)))

    def texts(self, requests: list[Request], stops: Stops) -> Iterator[str]:
        """How the continuation of one request reads after every step."""
        known = dict[int, int]()
        for state in self.bound(None).states(requests):
            stops.end(state, known)
            yield self.text.decode(self.ended(read(state)[0].tokens))

    def stops(self, stop: Sequence[str] | None) -> Stops:
        """The texts that end a continuation."""
        return Stops(self.pipeline.generate.stop if stop is None else stop, self.text)

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
        return generated(self.pipeline, self.loaded, self.steered, model, input_ids, *given, **rest)

    def steered(self, steering: tuple[Stage, ...], eos: tuple[int, ...]) -> Bound:
        """The pipeline with more stages behind it, and its own ends; kept for the next call, but for one call's processors."""
        own = any(isinstance(stage, LogitsProcessors) for stage in steering)
        return (self._bound if own else self.bound)(None, steering, eos)

    def requests(
        self, prompts: Sequence[Prompt], max_new_tokens: int | None, seed: int | None, params: Params | None
    ) -> list[Request]:
        """What the decoder is asked, every request with its noise key; what one cannot be is told before any is decoded."""
        check_prompts(prompts)
        if not prompts:
            return []
        asked = generate(self.pipeline, seed, max_new_tokens)
        values = request_values(self.pipeline, params or {}, len(prompts))
        rows = zip(prompts, values, strict=True)
        made = [Request(self.views_of(prompt), asked.max_new_tokens, None, row) for prompt, row in rows]
        self.decoder.refuse(made)
        return self.decoder.keyed(made, asked.seed)

    def results(self, prompts: Sequence[Prompt], state: State, watch: Watch, stops: Stops) -> list[Generation]:
        """What became of the rows of a batch."""
        rows = enumerate(zip(prompts, read(state), forwards(state), strict=True))
        return [self.result(*each, watch.of(row), stops, self.taps(state, row)) for row, each in rows]

    def result(
        self,
        prompt: Prompt,
        decoded: Decoded,
        counts: Mapping[str, float],
        seen: Seen,
        stops: Stops,
        taps: dict[str, list[float]],
    ) -> Generation:
        """What became of one prompt."""
        drafting = self.bound(None).step.plan.drafting
        drafted = sum(counts[view] for view in counts if view in drafting)
        tokens, target = self.ended(decoded.tokens), sum(counts.values()) - drafted
        stats = Stats(len(tokens), decoded.steps, target, drafted, seen.seconds, seen.stages)
        logprobs = None if seen.logprobs is None else seen.logprobs[: len(tokens)]
        return Generation(prompt, stops.before(self.text.decode(tokens)), tokens, decoded.status, stats, logprobs, taps)

    def taps(self, state: State, row: int) -> dict[str, list[float]]:
        """What taps carry for a row, and what other stages show of theirs."""
        stages = [p.stage for p in self.bound(None).step.plan.stages]
        names = [name for each in stages for name in (each.registers(1, 1) if each.role == "tap" else each.shown)]
        return {name: state[f"reg:{name}"].value[row].tolist() for name in names}  # type: ignore[attr-defined]

    def ended(self, tokens: list[int]) -> list[int]:
        """Up to the first end of text: a canvas goes on after it."""
        ends = self.text.eos if self.pipeline.generate.eos is None else self.pipeline.generate.eos
        end = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
        return tokens[: end + 1]

    def views_of(self, prompt: Prompt) -> dict[str, list[int]]:
        """The prompt's ids as every view sees it; of a dialogue, as its target's chat template writes it."""
        text = prompt if isinstance(prompt, str) else self.text.dialogue(prompt)
        prompts = {name: view.prompt for name, view in self.pipeline.views.items()}
        encode = cache(partial(self.text.encode, special=isinstance(prompt, str)))  # views mostly read the same text
        return {view: rewritten(prompts.get(view), text, encode) for view in self.decoder.models}

    def _bound(self, logprobs: Of | None, steering: tuple[Stage, ...] = (), eos: tuple[int, ...] | None = None) -> Bound:
        more = steering if logprobs is None else (*steering, Logprobs(of=logprobs))
        return Bound.of(self.settled, self.loaded, self.means, self.timed, more, eos)


def rewritten(stage: Stage | None, prompt: str, encode: Callable[[str], list[int]]) -> list[int]:
    """The ids of a view's own prompt, which a stage makes of the request's text or of its ids."""
    if isinstance(stage, RewritesTokens):
        return list(stage.rewrite_tokens(encode(prompt)))
    return encode(prompt if stage is None else str(stage.rewrite(prompt)))  # type: ignore[attr-defined]
