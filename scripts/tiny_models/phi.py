"""Phi 1 to 2."""

PHI = {
    "model_type": "phi",
    "architectures": ["PhiForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": None,
    "layer_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}

VARIANTS = {
    "phi": {
        # 6 of 16 numbers turn.
        "config": PHI,
        "matters": [
            {"partial_rotary_factor": 0.5},
            {"rope_theta": 500.0},
            {"layer_norm_eps": 0.1},
        ],
    },
    "phi-float16": {
        "config": {
            **PHI,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "partial_rotary_factor": 0.5,
        },
        "dtype": "float16",
    },
}
