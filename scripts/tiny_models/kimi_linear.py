"""Kimi Linear."""

import numpy as np

from .deepseek import DEEPSEEK_V3, join_kv_b_proj
from .experts import single_experts

NAMES = ("vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "rms_norm_eps")
DIMS = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "rope_theta")
KIMI_LINEAR = {
    **{key: DEEPSEEK_V3[key] for key in (*NAMES, *DIMS)},
    "model_type": "kimi_linear",
    "architectures": ["KimiLinearForCausalLM"],
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "model_max_length": 256,
    "linear_attn_config": {
        "kda_layers": [1, 3],
        "full_attn_layers": [2],
        "num_heads": 2,
        "head_dim": 6,
        "short_conv_kernel_size": 4,
    },
    "num_experts": 4,
    "num_experts_per_token": 2,
    "num_shared_experts": 1,
    "moe_router_activation_func": "sigmoid",
    "moe_renormalize": True,
    "routed_scaling_factor": 1.5,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "num_expert_group": 1,
    "topk_group": 1,
    "tie_word_embeddings": False,
}


def fading(random, name, shape):
    """Paces of which some forget within a few tokens and others within many."""
    if name.endswith("A_log"):
        return np.log(random.uniform(0.05, 1.0, shape))
    if name.endswith("dt_bias"):
        return random.normal(0, 1, shape)
    if name.endswith("conv.weight"):
        return random.normal(0, 0.6, shape)
    return None


def published(weights):
    experts = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
    stored = {}
    for name, value in single_experts(experts)(join_kv_b_proj(weights)).items():
        if name.endswith("_conv.conv.weight"):
            name, value = name.replace("_conv.conv.", "_conv1d."), value.swapaxes(1, 2)
        if ".mlp.experts." in name or ".mlp.shared_experts." in name or ".mlp.gate." in name:
            name = name.replace(".mlp.", ".block_sparse_moe.")
        name = name.replace(".mlp.e_score", ".block_sparse_moe.gate.e_score")
        stored[name] = value
    return stored


def eight_bits_of_gates(path, module):
    bits = 8 if path.endswith("mlp.gate") else 4
    return {"group_size": 32, "bits": bits, "mode": "affine"}


VARIANTS = {
    "kimi_linear": {
        "config": KIMI_LINEAR,
        "weight": fading,
        "stored": published,
        "matters": [
            {"num_experts_per_token": 1},
            {"moe_renormalize": False},
            {"moe_router_activation_func": "softmax"},
        ],
    },
    "kimi_linear-quantized": {
        "config": {
            **{key: value for key, value in KIMI_LINEAR.items() if key != "qk_nope_head_dim"},
            "intermediate_size": 32,
            "moe_intermediate_size": 32,
            "head_dim": 32,
            "v_head_dim": 32,
            "kv_lora_rank": 32,
            "linear_attn_config": {
                "kda_layers": [2],
                "full_attn_layers": [1],
                "num_heads": 1,
                "head_dim": 32,
                "short_conv_kernel_size": 3,
            },
            "num_hidden_layers": 2,
            "num_experts_per_token": 1,
            "num_shared_experts": 0,
            "moe_router_activation_func": "softmax",
            "tie_word_embeddings": True,
        },
        "weight": fading,
        "quantize": {"bits": 4, "group_size": 32, "quant_predicate": eight_bits_of_gates},
    },
}
