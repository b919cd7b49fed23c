"""A pipeline inside transformers, ``model.generate(..., custom_generate=runner)``: what it is told is applied or refused."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import rshift
from typing import Any

import torch
from torch import Tensor

from penstock.backends.runtime.runner import Request, ended, read
from penstock.decode.asked import request_values
from penstock.decode.binding import Bound, Loaded
from penstock.dsl.param import param
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.rows import State
from penstock.ir.state import STOP
from penstock.library.transforms.processors import LogitsProcessors
from penstock.library.transforms.temperature import Temperature

HARMLESS = {"attention_mask", "position_ids", "use_cache", "logits_to_keep", "cache_position", "past_key_values", "cache"}
"""What generate hands on besides and what has no say in which tokens come out."""
REFUSED = {
    "num_beams": 1,
    "penalty_alpha": None,
    "dola_layers": None,
    "output_scores": False,
    "output_logits": False,
    "output_hidden_states": False,
    "output_attentions": False,
}
"""Fields of a generation config that no pipeline obeys unless they are at these values."""
REDUNDANT = ("MaxLengthCriteria", "EosTokenCriteria")
"""Stopping criteria that say what limit and end tokens say."""
PADDING = "generate_padding"


def generated(
    pipeline: Pipeline,
    loaded: Loaded,
    steered: Callable[[tuple[Stage, ...], tuple[int, ...]], Bound],
    model: Any,
    input_ids: Tensor,
    processors: Sequence[Any],
    criteria: Sequence[Any],
    config: Any,
    streamer: Any = None,
    **rest: Any,
) -> Any:
    """The ids of prompts and continuations, as generate returns them. Raises PenstockError for what is not obeyed.

    ``steered(stages, eos)``: the pipeline with stages behind it, bound.
    """
    check(pipeline, loaded, model, config, rest)
    prompts = unpadded(input_ids, rest.get("attention_mask"))
    check_positions(rest.get("position_ids"), [len(ids) for ids in prompts])
    eos = () if config._eos_token_tensor is None else tuple(sorted(config._eos_token_tensor.tolist()))
    pad = 0 if config._pad_token_tensor is None else int(config._pad_token_tensor)
    steering = tuple(asked_for(processors, pad, config.do_sample))
    bound = steered(steering, eos)
    wanted = [each for each in criteria if type(each).__name__ not in REDUNDANT]
    width = input_ids.shape[1]
    padding = {PADDING: [width - len(ids) for ids in prompts]} if len(processors) else {}
    values = request_values(reduce(rshift, steering, pipeline), padding, len(prompts))
    rows = zip(prompts, values, strict=True)
    requests = [Request(dict.fromkeys(bound.decoder.models, ids), config.max_length - width, None, row) for ids, row in rows]
    told = [0] * len(prompts)
    for state in bound.states(bound.decoder.keyed(requests, drawn_seed())):
        stop(state, told, input_ids, wanted)
        tell(state, told, streamer)
    if streamer is not None:
        streamer.end()
    return returned(input_ids, [row.tokens for row in read(state)], pad, config)


def asked_for(processors: Sequence[Any], pad: int, sampled: bool) -> Iterator[Stage]:
    """The stages that generate's options come to."""
    if len(processors):
        yield LogitsProcessors(processors=tuple(processors), padding=param(PADDING, 0), pad=pad)
    if not sampled:
        yield Temperature(value=0)


def check(pipeline: Pipeline, loaded: Loaded, model: Any, config: Any, rest: dict[str, Any]) -> None:
    """Raises PenstockError for another model, and for what generate was told and a pipeline does not obey."""
    if getattr(loaded.models[loaded.target], "model", None) is not model:
        what = "generate was called on a model that is not the target of the pipeline"
        raise PenstockError(what, where="custom_generate", fix="penstock.compile(pipeline, models={name: model})")
    if pipeline.views:
        what = "the pipeline has views with prompts of their own, and generate gives ids, not texts"
        raise PenstockError(what, where="custom_generate", fix="use the runner itself: runner.generate(texts)")
    for name, plain in REFUSED.items():
        if getattr(config, name, plain) not in (plain, None):
            what = f"{name}={getattr(config, name)!r} is not obeyed by a pipeline"
            raise PenstockError(what, where="custom_generate", fix="leave it out")
    cache = rest.get("past_key_values") if rest.get("past_key_values") is not None else rest.get("cache")
    if cache is not None and hasattr(cache, "get_seq_length") and int(cache.get_seq_length()) > 0:
        raise PenstockError("a filled cache is not taken over", where="custom_generate", fix="leave past_key_values out")
    other = sorted(name for name, value in rest.items() if name not in HARMLESS and value is not None)
    if other:
        raise PenstockError(f"{', '.join(other)} would be ignored", where="custom_generate", fix="leave it out")


def unpadded(ids: Tensor, mask: Tensor | None) -> list[list[int]]:
    """Each row's prompt without the padding before it. Raises PenstockError for holes, and for padding after it."""
    if mask is None:
        return [list(map(int, row)) for row in ids.tolist()]
    kept = mask.bool()
    if bool((kept[:, :-1] & ~kept[:, 1:]).any()) or not bool(kept[:, -1].all()):
        raise PenstockError("the attention mask hides tokens after the first", where="custom_generate", fix="pad on the left")
    return [row[on].tolist() for row, on in zip(ids, kept, strict=True)]


def check_positions(positions: Tensor | None, lengths: Sequence[int]) -> None:
    """Raises PenstockError for positions that do not count each row's tokens from 0, which are the only ones decoded at."""
    for row, length in zip([] if positions is None else positions.tolist(), lengths, strict=False):
        if row[len(row) - length :] != list(range(length)):
            raise PenstockError("position_ids do not count from 0", where="custom_generate", fix="leave them out")


def drawn_seed() -> int:
    """A seed from torch's own generator, so that `torch.manual_seed` means what it means for generate."""
    return int(torch.randint(2**31 - 1, ()))


def stop(state: State, told: list[int], input_ids: Tensor, criteria: Sequence[Any]) -> None:
    """End the rows of which a criterion says so after one of their new tokens."""
    if not criteria:
        return
    seq: Any = state["seq"]
    for row, (tokens, length) in enumerate(zip(seq.tokens.tolist(), seq.length.tolist(), strict=True)):
        for n in range(told[row] + 1, length + 1):
            ids = torch.cat([input_ids[row : row + 1], torch.tensor([tokens[:n]])], 1)
            if any(bool(torch.as_tensor(each(ids, None)).all()) for each in criteria):
                ended(state, row, n, STOP)
                break


def tell(state: State, told: list[int], streamer: Any) -> None:
    """Tell a streamer of new tokens, one by one, and remember how far each row was told."""
    seq: Any = state["seq"]
    for row, (tokens, length) in enumerate(zip(seq.tokens.tolist(), seq.length.tolist(), strict=True)):
        for token in tokens[told[row] : length] if streamer is not None else ():
            streamer.put(torch.tensor([token]))
        told[row] = length


def returned(input_ids: Tensor, rows: Sequence[list[int]], pad: int, config: Any) -> Any:
    """What generate returns: ids, or a record of them."""
    longest = max(map(len, rows))
    new = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], dtype=input_ids.dtype)
    sequences = torch.cat([input_ids, new.to(input_ids.device)], 1)
    if not config.return_dict_in_generate:
        return sequences
    from transformers.generation.utils import GenerateDecoderOnlyOutput  # whoever calls generate has it

    return GenerateDecoderOnlyOutput(sequences=sequences)  # type: ignore[arg-type]
