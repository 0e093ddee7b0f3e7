"""StableLM 3B and 2."""

STABLELM = {
    "model_type": "stablelm",
    "architectures": ["StableLmForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "layer_norm_eps": 1e-5,
    "partial_rotary_factor": 0.25,
    "rope_theta": 10000.0,
    "use_qkv_bias": True,
}

VARIANTS = {
    "stablelm": {
        # 2 of 8 numbers turn.
        "config": STABLELM,
        "matters": [
            {"partial_rotary_factor": 0.5},
            {"rope_theta": 10.0, "partial_rotary_factor": 0.5},
            {"layer_norm_eps": 0.1},
        ],
    },
    "stablelm-parallel": {
        # A norm for each head, and one for attention and MLP together.
        "config": {
            **STABLELM,
            "partial_rotary_factor": 0.5,
            "use_qkv_bias": False,
            "qk_layernorm": True,
            "use_parallel_residual": True,
        },
        "matters": [{"rope_theta": 10.0}],
    },
}
