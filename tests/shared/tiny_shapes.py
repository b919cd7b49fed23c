"""Tiny configurations of transformers' architectures, by what they have in common, and random models of them."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCAB, WINDOW, CONTEXT = 97, 5, 64
Shape = dict[str, Any]

SIZE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
GROUPED = SIZE | dict(num_key_value_heads=2)
WIDE = GROUPED | dict(head_dim=8)
BARE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
GPT = dict(n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT)
OPT = BARE | dict(ffn_dim=48, word_embed_proj_dim=32)
NEO = dict(hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=WINDOW)
XGLM = dict(d_model=32, ffn_dim=48, num_layers=4, attention_heads=4, tie_word_embeddings=False)
BLOOM = dict(hidden_size=32, n_layer=2, n_head=4, tie_word_embeddings=False)
MPT = dict(d_model=32, n_layers=2, n_heads=4, max_seq_len=CONTEXT, expansion_ratio=2)

LOCAL = dict(num_local_experts=4, num_experts_per_tok=2)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24)
ROUTED = dict(n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, first_k_dense_replace=1)
IN_GROUPS = ROUTED | dict(n_group=2, topk_group=1)

SLIDING = dict(sliding_window=WINDOW)
UPPER = SLIDING | dict(use_sliding_window=True, max_window_layers=1)
MIXED = SLIDING | dict(layer_types=["sliding_attention", "full_attention"])
CHUNKED = dict(attention_chunk_size=WINDOW, layer_types=["chunked_attention", "full_attention"])
LLAMA4 = CHUNKED | dict(intermediate_size_mlp=48, num_local_experts=4, num_experts_per_tok=1, interleave_moe_layer_step=2)
LLAMA4 |= dict(no_rope_layers=[1, 0], attn_temperature_tuning=True, floor_scale=3, attn_scale=2.0)

CAPPED = dict(attn_logit_softcapping=5.0, final_logit_softcapping=3.0, query_pre_attn_scalar=3)
SCALED = dict(embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.5, attention_multiplier=0.2)
LATENT = dict(num_key_value_heads=4, kv_lora_rank=8, q_lora_rank=12, qk_rope_head_dim=4, qk_nope_head_dim=8, v_head_dim=6)
SHARED = SLIDING | dict(num_hidden_layers=4, layer_types=MIXED["layer_types"] * 2, num_kv_shared_layers=2)
PER_LAYER = dict(vocab_size_per_layer_input=VOCAB, hidden_size_per_layer_input=8)
GEMMA3N = PER_LAYER | dict(altup_num_inputs=2, laurel_rank=4, activation_sparsity_pattern=[0.0] * 4, intermediate_size=[48] * 4)

STATES = dict(hidden_size=32, num_hidden_layers=2, state_size=8)
MAMBA2 = dict(num_heads=8, head_dim=8, n_groups=2, chunk_size=4)
HEADS = dict(mamba_d_state=8, mamba_n_heads=8, mamba_d_head=8, mamba_n_groups=1, mamba_chunk_size=4)
JAMBA = dict(num_experts=2, attn_layer_offset=1, attn_layer_period=2, expert_layer_period=2, mamba_d_state=8, mamba_dt_rank=4)
ZAMBA = dict(num_hidden_layers=4, num_key_value_heads=4, mamba_d_state=8, n_mamba_heads=2, mamba_dt_rank=4)
ZAMBA |= dict(tie_word_embeddings=False, layers_block_type=["linear_attention", "hybrid"] + ["linear_attention"] * 2)
ZAMBA2 = dict(num_hidden_layers=4, mamba_d_state=8, mamba_headdim=8, n_mamba_heads=8, mamba_ngroups=1, num_mem_blocks=1)
ZAMBA2 |= dict(adapter_rank=4, chunk_size=4, layers_block_type=["mamba", "hybrid"] * 2)
NEMOTRON_H = dict(num_hidden_layers=3, layers_block_type=["mamba", "attention", "mlp"], mamba_num_heads=8, mamba_head_dim=8)
NEMOTRON_H |= dict(ssm_state_size=8, n_groups=2, chunk_size=4)
LINEAR = dict(layer_types=["linear_attention", "full_attention"])
DELTA = LINEAR | dict(linear_num_value_heads=4, linear_num_key_heads=2, linear_key_head_dim=8, linear_value_head_dim=8)
GRIFFIN = dict(num_hidden_layers=3, num_key_value_heads=1, lru_width=32, attention_window_size=WINDOW)
GEMMA4 = PER_LAYER | dict(global_head_dim=16)
ROTATED = dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0))
GRANITE4 = HEADS | LOCAL | dict(layer_types=["mamba", "attention"], shared_intermediate_size=24)
DEEPSEEK = SIZE | LATENT | IN_GROUPS
INDEXED = DEEPSEEK | dict(index_n_heads=2, index_head_dim=8, index_topk=4)
QWEN_NEXT = WIDE | DELTA | EXPERTS | dict(shared_expert_intermediate_size=24)
SIGHT = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
SEEING = dict(vision_config=SIGHT, text_config=WIDE | MIXED | dict(vocab_size=VOCAB, pad_token_id=None))
RWKV = dict(hidden_size=32, num_hidden_layers=2, context_length=CONTEXT, attention_hidden_size=32)


def model_of(kind: str, shape: Shape, seed: int = 0, noise: float = 0.0) -> PreTrainedModel:
    """A random model in float32, on eager attention; with ``noise`` a neighbour of the one without, which drafts well for it."""
    ends = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
    config = AutoConfig.for_model(kind, vocab_size=VOCAB, **ends, **shape)
    with torch.random.fork_rng():  # the first weights are of the global generator
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    draws, more = (torch.Generator().manual_seed(seed + i) for i in range(2))
    tables = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    for weight in model.parameters():
        spread = weight.shape[-1] ** -0.5 if weight.ndim > 1 else 0.1
        weight.data += torch.randn(weight.shape, generator=draws) * spread
        if id(weight) in tables:  # a text would else repeat its last token, or depend on its length alone
            weight.data *= 0.2
        weight.data += torch.randn(weight.shape, generator=more) * noise * weight.data.std(correction=0)
    return model
