"""The architectures of transformers that are tested: how each is driven, or why it is refused. docs/architectures.md shows it."""

from dataclasses import dataclass

import tiny_shapes as tiny
from tiny_shapes import BARE, EXPERTS, GPT, GROUPED, LOCAL, MIXED, SIZE, SLIDING, STATES, WIDE, Shape
from transformers import PreTrainedModel

HOW = {
    "attention": "our attention and our mask, by name",
    "mask": "its own attention, our mask by name",
    "state": "states by row, undrafted",
    "refused": "",
}


@dataclass(frozen=True)
class Architecture:
    """One model type; ``shape`` is what its configuration says beside the size of its vocabulary."""

    driven: str
    title: str
    kind: str
    trait: str
    """What is odd about it; of a refused one, what the refusal says."""
    shape: Shape
    extra: bool = False
    """Whether it is tested in full runs only."""

    def model(self, noise: float = 0.0) -> PreTrainedModel:
        return tiny.model_of(self.kind, self.shape, noise=noise)

    def row(self) -> str:
        """Its line of the table in the documentation."""
        plain, drafted = self.driven != "refused", self.driven in ("attention", "mask")
        can = ("yes" if able else "no" for able in (plain, drafted, drafted))
        return f"| {' | '.join([self.title, f'`{self.kind}`', *can, HOW[self.driven], self.trait])} |"


ATTENTION = (
    ("Llama", "llama", "grouped heads", GROUPED),
    ("Mistral", "mistral", "a window in every layer", GROUPED | SLIDING),
    ("Mixtral", "mixtral", "experts, a window in every layer", GROUPED | SLIDING | LOCAL),
    ("Qwen2", "qwen2", "windows in the upper layers", GROUPED | tiny.UPPER),
    ("Qwen3", "qwen3", "queries and keys are normed", WIDE),
    ("Qwen3-MoE", "qwen3_moe", "experts", WIDE | EXPERTS),
    ("Gemma", "gemma", "embeddings are scaled", WIDE),
    ("Gemma 2", "gemma2", "windows in every other layer, attention and logits are capped", WIDE | SLIDING | tiny.CAPPED),
    ("Gemma 3", "gemma3_text", "windows in most layers, which rotate in their own way", WIDE | MIXED),
    ("Gemma 3n", "gemma3n_text", "layers share keys, and read more than a state (1)", WIDE | tiny.SHARED | tiny.GEMMA3N),
    ("Gemma 4", "gemma4_text", "heads of two widths, else as Gemma 3n (1)", WIDE | tiny.SHARED | tiny.GEMMA4),
    ("Phi-3", "phi3", "a window in every layer", GROUPED | SLIDING),
    ("GPT-2", "gpt2", "learnt positions", GPT),
    ("GPT-NeoX", "gpt_neox", "rotates a part of each head", SIZE | {"rotary_pct": 0.5}),
    ("OPT", "opt", "learnt positions, with an offset", tiny.OPT),
    ("OLMo 2", "olmo2", "norms after the layers", GROUPED),
    ("DeepSeek-V3", "deepseek_v3", "latent attention: keys are wider than values", tiny.DEEPSEEK),
    ("GPT-OSS", "gpt_oss", "sinks, experts, windows in every other layer", WIDE | MIXED | LOCAL),
    ("Cohere 2", "cohere2", "windows in most layers, the others know no positions", GROUPED | MIXED),
    ("Granite", "granite", "embeddings, residuals, attention and logits are scaled", GROUPED | tiny.SCALED),
    ("StableLM", "stablelm", "rotates a part of each head", GROUPED),
)
MORE_ATTENTION = (
    ("AFMoE", "afmoe", "gates its attention", WIDE | MIXED | EXPERTS),
    ("Apertus", "apertus", "", GROUPED),
    ("Arcee", "arcee", "", GROUPED),
    ("BioGPT", "biogpt", "learnt positions, with an offset", SIZE),
    ("BitNet", "bitnet", "norms inside its layers", GROUPED),
    ("CodeGen", "codegen", "rotates a part of each head", GPT | {"rotary_dim": 4}),
    ("Cohere", "cohere", "logits are scaled", GROUPED),
    ("DeepSeek-V2", "deepseek_v2", "latent attention: keys are wider than values", tiny.DEEPSEEK | {"head_dim": 4}),
    ("DiffLlama", "diffllama", "the difference of two attentions", GROUPED),
    ("Doge", "doge", "its mask depends on values", WIDE),
    ("Dots 1", "dots1", "experts", WIDE | tiny.IN_GROUPS | {"n_shared_experts": 1}),
    ("ERNIE 4.5", "ernie4_5", "", WIDE),
    ("EXAONE 4", "exaone4", "windows in most layers", GROUPED | MIXED),
    ("FlexOlmo", "flex_olmo", "experts", GROUPED | EXPERTS),
    ("Gemma 3 with sight", "gemma3", "a language model inside another; texts alone", tiny.SEEING),
    ("GLM", "glm", "rotates a part of each head", WIDE),
    ("GLM-4", "glm4", "rotates a part of each head", WIDE),
    ("GLM-4.5", "glm4_moe", "experts", WIDE | tiny.ROUTED),
    ("GPT-BigCode", "gpt_bigcode", "one head of keys", GPT | {"tie_word_embeddings": False}),
    ("GPT-J", "gptj", "rotates a part of each head", GPT | {"rotary_dim": 4}),
    ("Granite MoE", "granitemoe", "experts", GROUPED | LOCAL),
    ("Helium", "helium", "", WIDE),
    ("Hunyuan", "hunyuan_v1_dense", "queries and keys are normed", WIDE),
    ("Jais 2", "jais2", "", WIDE),
    ("JetMoE", "jetmoe", "experts of attention", WIDE | LOCAL),
    ("Llama 4", "llama4_text", "chunks in most layers, the others scale queries by position", WIDE | tiny.LLAMA4),
    ("MiniMax-M2", "minimax_m2", "experts", WIDE | LOCAL),
    ("Ministral", "ministral", "windows in some layers", WIDE | MIXED | tiny.ROTATED),
    ("nanochat", "nanochat", "logits are capped", GROUPED),
    ("Nemotron", "nemotron", "", GROUPED),
    ("OLMo", "olmo", "", GROUPED),
    ("OLMo 3", "olmo3", "windows in most layers", GROUPED | MIXED),
    ("OLMoE", "olmoe", "experts", GROUPED | EXPERTS),
    ("Persimmon", "persimmon", "rotates a part of each head", SIZE),
    ("Phi", "phi", "rotates a part of each head", GROUPED),
    ("Phi-3.5-MoE", "phimoe", "experts, a window in every layer", GROUPED | SLIDING | {"num_local_experts": 4}),
    ("Qwen2-MoE", "qwen2_moe", "experts", GROUPED | EXPERTS | {"shared_expert_intermediate_size": 24}),
    ("Seed-OSS", "seed_oss", "", WIDE),
    ("SmolLM3", "smollm3", "some layers know no positions", GROUPED | {"no_rope_layers": [1, 0]}),
    ("StarCoder 2", "starcoder2", "a window in every layer", GROUPED | SLIDING),
    ("VaultGemma", "vaultgemma", "embeddings are scaled", WIDE | SLIDING),
)
MASK = (
    ("Bloom", "bloom", "ALiBi counts slots, which the mask puts right", tiny.BLOOM),
    ("MPT", "mpt", "ALiBi counts slots, so each attention module is given another forward", tiny.MPT),
)
MORE_MASK = (
    ("Falcon", "falcon", "one head of keys", BARE | {"alibi": False}),
    ("GPT-NeoX Japanese", "gpt_neox_japanese", "", SIZE),
    ("XGLM", "xglm", "fixed positions", tiny.XGLM),
)
STATE = (
    ("Mamba", "mamba", "goes on token by token", STATES),
    ("Mamba 2", "mamba2", "goes on in chunks", STATES | tiny.MAMBA2),
    ("Jamba", "jamba", "goes on token by token; attention in some layers", GROUPED | tiny.JAMBA),
    ("Zamba 2", "zamba2", "goes on in chunks; one attention, shared by layers", GROUPED | tiny.ZAMBA2),
    ("Falcon-H1", "falcon_h1", "goes on in chunks; attention beside every state", WIDE | tiny.HEADS | {"mamba_d_ssm": 64}),
    ("Qwen3-Next", "qwen3_next", "goes on in chunks; attention in some layers", tiny.QWEN_NEXT),
    ("LFM2", "lfm2", "goes on in chunks; short convolutions", GROUPED | {"layer_types": ["conv", "full_attention"]}),
)
MORE_STATE = (
    ("Bamba", "bamba", "goes on in chunks; attention in some layers", GROUPED | tiny.HEADS | {"attn_layer_indices": [1]}),
    ("Falcon Mamba", "falcon_mamba", "goes on token by token", STATES),
    ("Granite 4", "granitemoehybrid", "goes on in chunks; attention in some layers", GROUPED | tiny.GRANITE4),
    ("Nemotron-H", "nemotron_h", "goes on in chunks; attention in some layers", WIDE | tiny.NEMOTRON_H),
    ("OLMo hybrid", "olmo_hybrid", "goes on in chunks; attention in some layers", GROUPED | tiny.LINEAR),
    ("Qwen3.5", "qwen3_5_text", "goes on in chunks; attention in some layers", WIDE | tiny.DELTA),
    ("Zamba", "zamba", "goes on token by token; one attention, shared by layers", GROUPED | tiny.ZAMBA),
)
REFUSED = (
    ("RecurrentGemma", "recurrent_gemma", "keeps of a text what it does not put into the cache", WIDE | tiny.GRIFFIN),
    ("RWKV", "rwkv", "hands its state around outside of a cache", tiny.RWKV),
    ("MiniMax", "minimax", "uses cache of its own", WIDE | tiny.LINEAR | LOCAL | {"block_size": 4}),
    ("DeepSeek-V3.2", "deepseek_v32", "keeps more of a text than keys, values and states", tiny.INDEXED),
    ("GPT-Neo", "gpt_neo", "cuts its local layers' masks from a buffer indexed by slot", tiny.NEO),
    ("Falcon with ALiBi", "falcon", "builds its ALiBi biases for as many slots as the call has columns", BARE | {"alibi": True}),
)

TABLE = (
    ("attention", ATTENTION, MORE_ATTENTION),
    ("mask", MASK, MORE_MASK),
    ("state", STATE, MORE_STATE),
    ("refused", REFUSED, ()),
)
ARCHITECTURES = tuple(
    Architecture(driven, *row, extra=rows is more) for driven, some, more in TABLE for rows in (some, more) for row in rows
)
