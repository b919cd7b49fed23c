"""A pipeline from a generation config of transformers: every field becomes a stage, changes nothing, or is refused by name."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock import library
from penstock.dsl.limits import MAX_NEW_TOKENS
from penstock.dsl.pipeline import Generate, Pipeline, View
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError

FILE = "generation_config.json"
MODEL, DRAFT, OTHER = "target", "draft", "unconditional"
DEFAULTS: dict[str, Any] = {"do_sample": False, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "max_length": 20}
"""What generate takes where a config says nothing, as far as it does anything."""
PLAIN = {
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "diversity_penalty": 0.0,
    "length_penalty": 1.0,
    "early_stopping": False,
}
"""Fields that no stage stands for; at these values they do nothing."""
SILENT = frozenset(
    "use_cache cache_implementation cache_config max_cache_len pad_token_id bos_token_id decoder_start_token_id "
    "renormalize_logits transformers_version low_memory compile_config disable_compile prefill_chunk_size is_assistant "
    "num_assistant_tokens num_assistant_tokens_schedule assistant_confidence_threshold assistant_lookbehind target_lookbehind "
    "max_matching_ngram_size do_sample max_length max_new_tokens _from_model_config continuous_batching_config".split()
)
"""Fields that change no token by themselves, or that are read beside others."""


@dataclass
class Config:
    """What a generation config says, and which of it has been read."""

    told: Mapping[str, Any]
    read: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> Any:
        """The value of a field, generate's own where there is none."""
        self.read.add(name)
        value = self.told.get(name)
        return DEFAULTS.get(name) if value is None else value

    @property
    def eos(self) -> tuple[int, ...]:
        """The tokens that end a text. Raises PenstockError where a field needs them and none are named."""
        found = self["eos_token_id"]
        if found is None:
            raise PenstockError("field eos_token_id is missing, which others need", fix="add it to the config")
        return tuple(found) if isinstance(found, list) else (found,)


def from_generation_config(config: Any, model: str, draft: str | None = None) -> Pipeline:
    """The pipeline that decodes as ``model.generate`` does under a config: a `GenerationConfig`, a mapping, a file or a folder.

    ``model``, ``draft``: references. Raises PenstockError naming the first field that no stage stands for.
    """
    told = Config(contents(config))
    if not isinstance(config, str | Path):
        return imported(told, model, draft)
    try:
        return imported(told, model, draft)
    except PenstockError as error:
        raise PenstockError(error.what, where=str(file_of(config)), fix=error.fix) from None


def imported(told: Config, model: str, draft: str | None) -> Pipeline:
    """The pipeline of a config that has been read."""
    stages = [*drafters(told, draft), library.ModelVerifier(model=MODEL), *(made for make in ORDER for made in make(told))]
    views = {OTHER: View(model=MODEL, prompt=library.LastToken())} if any(s.kind == library.Guidance.kind for s in stages) else {}
    models = {MODEL: model} | ({DRAFT: draft} if draft else {})
    limit = told["max_new_tokens"] or told["max_length"]
    stop = told["stop_strings"] or ()
    ends = told.eos if told["eos_token_id"] is not None else None
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    made = Generate(max_new_tokens=min(int(limit), MAX_NEW_TOKENS), eos=ends, stop=stops)
    refuse_rest(told)
    return Pipeline(models=models, views=views, stages=tuple(stages), generate=made)


def contents(config: Any) -> Mapping[str, Any]:
    """The fields of a config, from wherever it is."""
    if hasattr(config, "to_dict"):
        return config.to_dict()  # type: ignore[no-any-return]
    if isinstance(config, Mapping):
        return config
    path = file_of(config)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not JSON"
        raise PenstockError(f"the config cannot be read: {reason}", where=str(path), fix=f"name a {FILE}") from None
    if not isinstance(told, dict):
        raise PenstockError("the config is no mapping", where=str(path), fix=f"name a {FILE}")
    return told


def file_of(config: str | Path) -> Path:
    """The file that a config is in, given itself or by its folder."""
    return Path(config) / FILE if Path(config).is_dir() else Path(config)


def refuse_rest(config: Config) -> None:
    """Raises PenstockError for a field that says something and that nothing has read."""
    for name, value in config.told.items():
        if name in config.read or name in SILENT or value is None or value is False or value == PLAIN.get(name):
            continue
        raise PenstockError(f"field {name}: {value!r} has no stage that stands for it", fix="leave it out, or decode without")


def drafters(config: Config, draft: str | None) -> list[Stage]:
    """What drafts: another model, or the text itself."""
    length = config["prompt_lookup_num_tokens"]
    if draft and length:
        raise PenstockError("a draft model and prompt_lookup_num_tokens are both given", fix="keep one of them")
    if draft:
        return [library.ModelDrafter(model=DRAFT)]
    return [library.PromptLookup(length=length, longest=config["max_matching_ngram_size"] or 2)] if length else []


def guidance(config: Config) -> list[Stage]:
    scale = config["guidance_scale"]
    return [] if scale in (None, 1) else [library.Guidance(model=MODEL, view=OTHER, scale=scale)]


def biases(config: Config) -> list[Stage]:
    """``[[ids], bias]`` pairs, or a mapping from tuples of ids."""
    given = config["sequence_bias"] or []
    pairs = [*given.items()] if isinstance(given, Mapping) else [(ids, bias) for ids, bias in given]
    single = tuple((ids[0], float(bias)) for ids, bias in pairs if len(ids) == 1)
    longer = tuple((tuple(ids), float(bias)) for ids, bias in pairs if len(ids) > 1)
    return [library.Bias(tokens=single, sequences=longer)] if pairs else []


def repetition(config: Config) -> list[Stage]:
    alpha = config["repetition_penalty"]
    return [] if alpha in (None, 1) else [library.Repetition(alpha=alpha)]


def ngrams(config: Config) -> list[Stage]:
    size = config["no_repeat_ngram_size"]
    return [library.NoRepeatNGram(size=size)] if size else []


def bad_words(config: Config) -> list[Stage]:
    """A bare end of text among them is no bad word, as in transformers."""
    words = config["bad_words_ids"] or []
    ends = set(config.eos) if words and config["eos_token_id"] is not None else set()
    kept = [tuple(word) for word in words if not (len(word) == 1 and word[0] in ends)]
    single = tuple(word[0] for word in kept if len(word) == 1)
    longer = tuple(word for word in kept if len(word) > 1)
    return [library.Ban(tokens=single, sequences=longer)] if kept else []


def lengths(config: Config) -> list[Stage]:
    """New tokens, or the text with its prompt, which counts only where nothing is said of new ones."""
    new, whole = config["min_new_tokens"], config["min_length"]
    return [library.MinLength(length=new or whole, eos=config.eos, prompt=not new)] if new or whole else []


def forced(config: Config) -> list[Stage]:
    """The first token after a prompt of one, and the last that the length allows."""
    first, last = config["forced_bos_token_id"], config["forced_eos_token_id"]
    found: list[Stage] = [] if first is None else [library.Force(token=first, at=1, prompt=True)]
    if last is not None:
        if isinstance(last, list):
            raise PenstockError(f"field forced_eos_token_id: {last!r}; one token can be forced", fix="keep one of them")
        counted = config["max_new_tokens"]
        at = (counted or config["max_length"]) - 1
        found.append(library.Force(token=last, at=at, prompt=counted is None))
    return found


def decay(config: Config) -> list[Stage]:
    given = config["exponential_decay_length_penalty"]
    return [library.LengthDecay(after=given[0], factor=given[1], eos=config.eos)] if given else []


def suppressed(config: Config) -> list[Stage]:
    always, begin = config["suppress_tokens"], config["begin_suppress_tokens"]
    found: list[Stage] = [library.Ban(tokens=tuple(always))] if always else []
    return found + ([library.SuppressAtBegin(tokens=tuple(begin))] if begin else [])


def sampling(config: Config) -> list[Stage]:
    """What shapes a draw, or that there is none; the sampling fields of a greedy config do nothing, as in generate."""
    values = {name: config[name] for name in WARPERS}
    if not config["do_sample"]:
        return [library.Temperature(value=0)]
    return [make(values[name]) for name, (does, make) in WARPERS.items() if values[name] is not None and does(values[name])]


Warper = tuple[Callable[[Any], bool], Callable[[Any], Stage]]
WARPERS: dict[str, Warper] = {
    "temperature": (lambda t: t != 1, lambda t: library.Temperature(value=t)),
    "top_k": (lambda k: k != 0, lambda k: library.TopK(k=k)),
    "top_p": (lambda p: p < 1, lambda p: library.TopP(p=p)),
    "min_p": (lambda p: True, lambda p: library.MinP(p=p)),
    "typical_p": (lambda p: p < 1, lambda p: library.TypicalP(p=p)),
    "epsilon_cutoff": (lambda e: 0 < e < 1, lambda e: library.Epsilon(epsilon=e)),
    "eta_cutoff": (lambda e: 0 < e < 1, lambda e: library.Eta(epsilon=e)),
}
"""By field, whether a value does anything, and the stage that does it."""


def total(config: Config) -> list[Stage]:
    """A limit that counts the prompt too."""
    return [] if config["max_new_tokens"] else [library.MaxLength(length=config["max_length"], prompt=True)]


ORDER = (guidance, biases, repetition, ngrams, bad_words, lengths, forced, decay, suppressed, sampling, total)
"""As generate applies them."""
