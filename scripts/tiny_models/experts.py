"""Mixtures of experts: Qwen, Mixtral, MiniMax."""

import mlx.core as mx

from .qwen import QWEN3


def single_experts(weights, names=None):
    """A tensor for each expert instead of stacks; `names` are those of the publisher."""
    stored = {}
    for name, value in weights.items():
        module, _, leaf = name.partition(".switch_mlp.")
        if not leaf:
            stored[name] = value
            continue
        matrix, part = leaf.split(".")
        for index, expert in enumerate(value):
            stored[f"{module}.experts.{index}.{(names or {}).get(matrix, matrix)}.{part}"] = expert
    return stored


def numbered_experts(weights):
    return single_experts(weights, {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"})


def in_fp8(weights):
    """Matrices of attention and experts as 8-bit floats, with one scale: a block is larger than they are."""
    stored = {}
    for name, value in numbered_experts(weights).items():
        if value.ndim != 2 or name.endswith((".gate.weight", "lm_head.weight", "embed_tokens.weight")):
            stored[name] = value
            continue
        scale = mx.abs(value).max() / 448
        stored[name] = mx.to_fp8(value / scale)
        stored[f"{name}_scale_inv"] = scale.reshape(1, 1)
    return stored


QWEN3_MOE = {
    **QWEN3,
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "head_dim": 8,
    "intermediate_size": 16,
    "num_experts": 5,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "tie_word_embeddings": False,
}
QWEN2_MOE = {
    **{key: value for key, value in QWEN3_MOE.items() if key not in ("head_dim", "norm_topk_prob")},
    "model_type": "qwen2_moe",
    "architectures": ["Qwen2MoeForCausalLM"],
    "shared_expert_intermediate_size": 16,
}
MIXTRAL = {
    "model_type": "mixtral",
    "architectures": ["MixtralForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000.0,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}
MINIMAX = {
    **MIXTRAL,
    "model_type": "minimax",
    "architectures": ["MiniMaxM2ForCausalLM"],
    "head_dim": 12,
    "rotary_dim": 8,
    "shared_intermediate_size": 0,
    "scoring_func": "sigmoid",
    "use_qk_norm": True,
}
# As wide as groups want it.
WIDE = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
QUANTIZED = {"dtype": "float16", "quantize": {"bits": 4, "group_size": 32}}

VARIANTS = {
    # As wide as the groups in which routers are quantized.
    "qwen3_moe-wide": {
        "config": {
            **QWEN3_MOE,
            "hidden_size": 64,
            "moe_intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_experts": 3,
            "num_experts_per_tok": 2,
        }
    },
    "qwen3_moe": {
        "config": QWEN3_MOE,
        "matters": [{"rope_theta": 500.0}, {"norm_topk_prob": False}, {"num_experts_per_tok": 2}],
        "stored": single_experts,
    },
    "qwen3_moe-mixed-layers": {
        # Layer 1 and 3 would be sparse, but layer 3 is named dense.
        "config": {
            **QWEN3_MOE,
            "hidden_size": 24,
            "num_hidden_layers": 4,
            "num_key_value_heads": 1,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [3],
            "norm_topk_prob": False,
            "tie_word_embeddings": True,
        },
        "matters": [{"norm_topk_prob": True}],
    },
    "qwen3_moe-quantized": {
        "config": {
            **QWEN3_MOE,
            **WIDE,
            "head_dim": 16,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
        },
        **QUANTIZED,
    },
    "qwen2_moe": {
        "config": QWEN2_MOE,
        "matters": [{"rope_theta": 500.0}, {"rope_traditional": True}, {"num_experts_per_tok": 2}],
        "stored": single_experts,
    },
    "qwen2_moe-quantized": {
        "config": {
            **QWEN2_MOE,
            **WIDE,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 32,
        },
        **QUANTIZED,
    },
    "mixtral": {
        "config": MIXTRAL,
        "matters": [{"rope_theta": 10.0}, {"rope_traditional": True}, {"num_experts_per_tok": 1}],
        "stored": numbered_experts,
    },
    "mixtral-quantized": {
        "config": {
            **MIXTRAL,
            **WIDE,
            "intermediate_size": 32,
            "num_local_experts": 4,
            "tie_word_embeddings": True,
        },
        **QUANTIZED,
    },
    "minimax": {
        "config": MINIMAX,
        "matters": [{"rotary_dim": 12}, {"rope_theta": 10.0}, {"num_experts_per_tok": 1}],
        "stored": numbered_experts,
    },
    "minimax-fp8": {
        "config": {
            **MINIMAX,
            "tie_word_embeddings": True,
            "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
        },
        "stored": in_fp8,
    },
    "minimax-quantized": {
        "config": {
            **MINIMAX,
            **WIDE,
            "head_dim": 16,
            "intermediate_size": 32,
            "num_local_experts": 4,
            "use_qk_norm": False,
        },
        "quantize": {"bits": 4, "group_size": 32},
    },
    "minimax_m2": {"config": {**MINIMAX, "model_type": "minimax_m2", "num_hidden_layers": 1}},
}
