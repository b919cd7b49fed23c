"""What a model's config.json says of it, before its weights or transformers are loaded."""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

TREES = frozenset({"tree", "chunk", "kv_read"})
VECTORS = frozenset({"embeds", "layers", "hidden"})
"""What takes layers that read nothing but the state that the layer before left, and inputs that are vectors alone."""
ENTANGLING = ("num_kv_shared_layers", "hidden_size_per_layer_input")
"""Fields that say, if they are not zero, that a layer reads more: another's keys, an embedding of its own."""
STATES = frozenset({"linear_attention", "conv", "mamba", "hybrid", "hybrid_sliding"})
"""What layers are called that keep a state, which only goes forward."""
RECURRENT = frozenset(
    "bamba falcon_h1 falcon_mamba jamba lfm2 mamba mamba2 olmo_hybrid qwen3_5_text qwen3_next recurrent_gemma rwkv xlstm zamba "
    "zamba2".split()
)
"""Model types that may leave it unsaid that they have such layers."""
MASK_ALONE = frozenset({"bloom", "falcon", "gpt_neox_japanese", "mpt", "xglm"})
"""Model types that compute attention themselves, under the mask that they ask for by name."""
SIZES = {
    "vocab_size": ("vocab_size",),
    "hidden_size": ("hidden_size", "n_embd", "d_model"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
}
"""What configurations call the sizes of a model."""
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")
"""What they call how many positions it has."""
LAYERS = ("layer_types", "layers_block_type")
"""What they call the list of their layers' types."""


def of_text(config: Config) -> Config:
    """The part that is about the language model, where there are others."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def layer_types(config: Config) -> list[str]:
    """The types of the layers, empty if not told."""
    found = next((config[name] for name in LAYERS if isinstance(config.get(name), list)), [])
    return [str(each) for each in found]


def sizes(config: Config) -> dict[str, int | None]:
    """Logits, width and layers; None where they are not told as a positive number."""
    told = {size: next((config[name] for name in names if name in config), None) for size, names in SIZES.items()}
    told["num_hidden_layers"] = told["num_hidden_layers"] or len(layer_types(config))
    return {size: value if type(value) is int and value > 0 else None for size, value in told.items()}


def context(config: Config) -> int | None:
    """How many positions the model has, if it says so; of LongRoPE (arXiv 2402.13753) those of its short factors.

    Beyond, the longest text of a batch decides by which factors all are rotated, and keys in the cache stay as they were.
    """
    told = [config.get(name) for name in POSITIONS]
    ropes = config.get("rope_parameters") or {}
    for rope in (ropes, *ropes.values()):
        if isinstance(rope, Mapping) and rope.get("rope_type") == "longrope":
            told.append(rope.get("original_max_position_embeddings"))
    return min((limit for limit in told if type(limit) is int), default=None)


def is_recurrent(config: Config) -> bool:
    """Whether some layer keeps a state."""
    return config.get("model_type") in RECURRENT or not STATES.isdisjoint(layer_types(config))


def is_windowed(config: Config) -> bool:
    """Whether some layer sees a part of the text only."""
    if types := layer_types(config):
        return not {"sliding_attention", "chunked_attention"}.isdisjoint(types)
    return config.get("sliding_window") is not None and config.get("use_sliding_window") is not False


def is_entangled(config: Config) -> bool:
    """Whether layers read more than the state that the layer before left."""
    return any(config.get(field) for field in ENTANGLING)


def attends_alone(config: Config) -> bool:
    """Whether a model computes attention itself, under the mask that it asks for by name."""
    return config.get("model_type") in MASK_ALONE and not config.get("alibi", False)


def abilities(*, recurrent: bool, windowed: bool, entangled: bool, attends_alone: bool = False) -> frozenset[str]:
    """What stages and passes may ask of such a model, of what `penstock.ir.host.Model` lists."""
    if recurrent:
        return frozenset({"chunk", "embeds"})
    able = TREES if entangled else TREES | VECTORS
    able |= frozenset() if attends_alone else {"stack"}
    return able | ({"window"} if windowed else {"bidirectional"})


def abilities_in(config: Config) -> frozenset[str]:
    """The same, of what a configuration says."""
    recurrent, windowed, entangled = is_recurrent(config), is_windowed(config), is_entangled(config)
    return abilities(recurrent=recurrent, windowed=windowed, entangled=entangled, attends_alone=attends_alone(config))
