"""Granite 4: Mamba 2 and attention, dense or with experts."""

import mlx.core as mx

from .mamba import conv1d_as_published, mamba2_weight

GRANITE4 = {
    "model_type": "granitemoehybrid",
    "architectures": ["GraniteMoeHybridForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 24,
    "intermediate_size": 8,
    "shared_intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "attention_bias": False,
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.3,
    "logits_scaling": 0.5,
    "residual_multiplier": 0.6,
    "layer_types": ["mamba", "attention"],
    "rms_norm_eps": 1e-5,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "mamba_n_heads": 4,
    "mamba_d_head": 8,
    "mamba_d_state": 16,
    "mamba_d_conv": 4,
    "mamba_n_groups": 1,
    "mamba_proj_bias": False,
    "mamba_conv_bias": True,
    "position_embedding_type": "nope",
    "tie_word_embeddings": True,
}
WIDE = {
    **GRANITE4,
    "hidden_size": 64,
    "embedding_multiplier": 1.0,
    "logits_scaling": 1.0,
    "intermediate_size": 32,
    "shared_intermediate_size": 32,
    "num_local_experts": 3,
    "mamba_n_heads": 8,
    "mamba_proj_bias": True,
    "attention_bias": True,
}


def as_published(weights):
    """Gate and projection in one tensor, here and with the experts; convolutions with taps last."""
    stored = conv1d_as_published(weights)
    for name in list(stored):
        path, found, _ = name.partition("gate_proj.weight")
        if not found:
            continue
        new_path = path.replace("switch_mlp.", "").replace(".mlp.", ".shared_mlp.")
        gate, up, down = (stored.pop(f"{path}{part}_proj.weight") for part in ("gate", "up", "down"))
        stored[f"{new_path}input_linear.weight"] = mx.concatenate([gate, up], axis=-2)
        stored[f"{new_path}output_linear.weight"] = down
    return stored


VARIANTS = {
    "granitemoehybrid": {
        "config": GRANITE4,
        "weight": mamba2_weight,
        "stored": as_published,
        "extra": {"lm_head.weight": [80, 24]},
        "matters": [
            {"embedding_multiplier": 1.0},
            {"attention_multiplier": 0.6},
            {"logits_scaling": 1.0},
            {"residual_multiplier": 1.0},
            {"num_experts_per_tok": 1},
            {"position_embedding_type": "rope"},
        ],
    },
    "granitemoehybrid-dense": {
        "config": {
            **GRANITE4,
            "intermediate_size": 16,
            "num_local_experts": 0,
            "num_experts_per_tok": 0,
            "attention_bias": True,
            "position_embedding_type": "rope",
            "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"},
            "tie_word_embeddings": False,
            "time_step_limit": [0.02, 0.8],
        },
        "weight": mamba2_weight,
        "stored": as_published,
        "matters": [
            {"rope_parameters": {"rope_theta": 50.0}},
            {"time_step_limit": [0.0, 0.8]},
            {"time_step_limit": [0.02, 100.0]},
        ],
    },
    "granitemoehybrid-quantized": {
        "config": WIDE,
        "weight": mamba2_weight,
        "quantize": {"bits": 4, "group_size": 32},
    },
    "granitemoehybrid-bfloat16": {
        # Attention only.
        "config": {
            **{key: value for key, value in GRANITE4.items() if not key.startswith("mamba_")},
            "embedding_multiplier": 1.1,
            "logits_scaling": 0.7,
            "num_hidden_layers": 1,
            "layer_types": ["attention"],
            "num_local_experts": 0,
            "num_experts_per_tok": 0,
            "tie_word_embeddings": False,
        },
        "dtype": "bfloat16",
    },
}
