"""LFM2: short convolutions between attention layers, dense or with experts."""

LFM2 = {
    "model_type": "lfm2",
    "architectures": ["Lfm2ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "norm_eps": 1e-5,
    "conv_bias": False,
    "conv_L_cache": 3,
    "block_dim": 24,
    "block_ff_dim": 30,
    "block_multiple_of": 8,
    "block_ffn_dim_multiplier": 1.1,
    "block_auto_adjust_ff_dim": True,
    "full_attn_idxs": [1],
    "rope_theta": 1000000.0,
}
# As transformers 5 writes it.
LFM2_5 = {
    **{
        key: value
        for key, value in LFM2.items()
        if key not in ("block_ff_dim", "full_attn_idxs", "rope_theta")
    },
    "conv_bias": True,
    "intermediate_size": 32,
    "block_auto_adjust_ff_dim": False,
    "layer_types": ["conv", "full_attention", "conv"],
    "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"},
}
LFM2_MOE = {
    **{key: value for key, value in LFM2.items() if not key.startswith("block_")},
    "model_type": "lfm2_moe",
    "architectures": ["Lfm2MoeForCausalLM"],
    "full_attn_idxs": [2],
    "intermediate_size": 32,
    "moe_intermediate_size": 8,
    "num_dense_layers": 1,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
    "use_expert_bias": True,
    "routed_scaling_factor": 1.5,
}


def weight(random, name, shape):
    if name.endswith("conv.weight"):
        return random.normal(0, 0.7, shape)
    if name.endswith("layernorm.weight"):  # of queries and keys
        return random.uniform(1.6, 2.4, shape)
    if name.endswith("expert_bias"):
        return random.normal(0, 0.3, shape)
    return None


def as_published(weights):
    """Convolutions with their taps last, and in a mixture each expert and each matrix by itself."""
    stored = {}
    for name, value in weights.items():
        if name.endswith("conv.weight"):
            stored[name] = value.transpose(0, 2, 1)
        elif "switch_mlp" in name:
            for expert in range(value.shape[0]):
                stored[short_names(name.replace("switch_mlp", f"experts.{expert}"))] = value[expert]
        else:
            stored[short_names(name)] = value
    return stored


def short_names(name):
    for long, short in {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}.items():
        name = name.replace(long, short)
    return name


VARIANTS = {
    "lfm2": {
        "config": LFM2,
        "weight": weight,
        "stored": as_published,
        "matters": [{"rope_theta": 500.0}, {"norm_eps": 0.1}],
    },
    "lfm2-bias": {
        "config": LFM2_5,
        "weight": weight,
        "matters": [{"rope_parameters": {"rope_theta": 500.0}}],
    },
    "lfm2-bfloat16": {"config": {**LFM2, "num_hidden_layers": 2}, "dtype": "bfloat16", "weight": weight},
    "lfm2_moe": {
        "config": LFM2_MOE,
        "weight": weight,
        "stored": as_published,
        "matters": [
            {"num_experts_per_tok": 3},
            {"norm_topk_prob": False},
            {"routed_scaling_factor": 1.0},
        ],
    },
    "lfm2_moe-quantized": {
        "config": {
            **LFM2_MOE,
            "num_hidden_layers": 2,
            "full_attn_idxs": [1],
            "hidden_size": 64,
            "intermediate_size": 64,
            "moe_intermediate_size": 64,
            "use_expert_bias": False,
            "norm_topk_prob": False,
        },
        "dtype": "bfloat16",
        "weight": weight,
        "quantize": {"bits": 4, "group_size": 64},
    },
}
