"""Nemotron-H: layers of Mamba 2, attention, an MLP or experts."""

from .mamba import conv1d_as_published, mamba2_weight

NEMOTRON_H = {
    "model_type": "nemotron_h",
    "architectures": ["NemotronHForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "hybrid_override_pattern": "M*-M",
    "max_position_embeddings": 256,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "attention_bias": False,
    "mlp_bias": False,
    "layer_norm_epsilon": 1e-5,
    "mamba_num_heads": 4,
    "mamba_head_dim": 8,
    "mamba_proj_bias": False,
    "ssm_state_size": 16,
    "conv_kernel": 4,
    "n_groups": 2,
    "use_bias": False,
    "use_conv_bias": True,
}
EXPERTS = {
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_shared_experts": 1,
    "moe_shared_expert_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.5,
}


def weight(random, name, shape):
    if name.endswith("e_score_correction_bias"):
        return random.normal(0, 0.3, shape)
    return mamba2_weight(random, name, shape)


def as_published(weights):
    """Each expert by itself, convolutions with their taps last."""
    stored = conv1d_as_published(weights)
    for name in [name for name in stored if "switch_mlp" in name]:
        experts = stored.pop(name)
        name = name.replace("fc1", "up_proj").replace("fc2", "down_proj")
        for expert in range(experts.shape[0]):
            stored[name.replace("switch_mlp", f"experts.{expert}")] = experts[expert]
    return stored


VARIANTS = {
    "nemotron_h": {
        "config": {**NEMOTRON_H, "time_step_limit": [0.02, 0.8]},
        "weight": weight,
        "stored": as_published,
        "extra": {"mtp.layers.0.norm.weight": [24]},
        "matters": [
            {"time_step_limit": None},
            {"layer_norm_epsilon": 0.3},
        ],
    },
    "nemotron_h-experts": {
        "config": {
            **NEMOTRON_H,
            **EXPERTS,
            "num_hidden_layers": 3,
            "hybrid_override_pattern": ["M", "E", "*"],
        },
        "weight": weight,
        "stored": as_published,
        "matters": [
            {"num_experts_per_tok": 3},
            {"norm_topk_prob": False},
            {"routed_scaling_factor": 1.0},
            {"n_group": 4, "topk_group": 1},
        ],
    },
    "nemotron_h-latent-quantized": {
        # As transformers 5 writes it: names of layers, and no number of them.
        "config": {
            **{
                key: value
                for key, value in {**NEMOTRON_H, **EXPERTS}.items()
                if key not in ("hybrid_override_pattern", "num_hidden_layers")
            },
            "layers_block_type": ["mamba", "moe", "attention", "mlp"],
            "hidden_size": 64,
            "intermediate_size": 32,
            "moe_intermediate_size": 32,
            "moe_shared_expert_intermediate_size": 32,
            "moe_latent_size": 32,
            "n_group": 4,
            "topk_group": 2,
            "attention_bias": True,
            "mlp_bias": True,
            "mamba_proj_bias": True,
            "use_conv_bias": False,
        },
        "weight": weight,
        "quantize": {"bits": 4, "group_size": 32},
        "matters": [{"topk_group": 1}, {"n_group": 1}],
    },
    "nemotron_h-bfloat16": {
        "config": {
            **NEMOTRON_H,
            **EXPERTS,
            "num_hidden_layers": 3,
            "hybrid_override_pattern": "*EM",
            "hidden_size": 32,
            "moe_intermediate_size": 32,
            "n_shared_experts": None,
        },
        "dtype": "bfloat16",
        "weight": weight,
        "quantize": {"bits": 8, "group_size": 32},
    },
}
