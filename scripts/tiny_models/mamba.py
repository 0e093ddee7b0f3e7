"""Mamba 2: state spaces instead of attention."""

MAMBA2 = {
    "model_type": "mamba2",
    "architectures": ["Mamba2ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_heads": 6,
    "head_dim": 8,
    "state_size": 16,
    "n_groups": 2,
    "conv_kernel": 4,
    "layer_norm_epsilon": 1e-5,
    "use_bias": False,
    "use_conv_bias": True,
    "tie_word_embeddings": True,
    "time_step_rank": "auto",
    "time_step_limit": [0.02, 0.8],
}


def mamba2_weight(random, name, shape):
    """Time steps and decays around those of a trained state space."""
    if name.endswith("A_log"):
        return random.uniform(-1, 2, shape)
    if name.endswith("dt_bias"):
        return random.uniform(-3, 0, shape)
    if name.endswith(".D"):
        return random.uniform(0.5, 1.5, shape)
    if name.endswith("conv1d.weight"):
        return random.normal(0, 0.6, shape)
    if name == "backbone.embeddings.weight":
        return random.normal(0, 0.5, shape)
    if name == "backbone.norm_f.weight":
        return random.uniform(0.6, 1.4, shape)
    return None


def conv1d_as_published(weights):
    """Convolutions with their taps last."""
    return {
        name: value.transpose(0, 2, 1) if name.endswith("conv1d.weight") else value
        for name, value in weights.items()
    }


VARIANTS = {
    "mamba2": {
        "config": MAMBA2,
        "weight": mamba2_weight,
        "stored": conv1d_as_published,
        "matters": [
            {"time_step_limit": [0.0, 0.8]},
            {"time_step_limit": [0.02, 100.0]},
            {"layer_norm_epsilon": 0.3},
        ],
    },
    "mamba2-untied": {
        "config": {
            **MAMBA2,
            "use_bias": True,
            "use_conv_bias": False,
            "tie_word_embeddings": False,
            "n_groups": 1,
            "time_step_limit": [0.0, 100.0],
        },
        "weight": mamba2_weight,
    },
    "mamba2-bfloat16": {"config": {**MAMBA2, "num_hidden_layers": 1}, "dtype": "bfloat16", "weight": mamba2_weight},
}
