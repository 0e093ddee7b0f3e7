"""Llama and Mistral."""

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}

LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# Two of three layers look back 16 tokens; the full one is not the first.
MISTRAL_LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]

VARIANTS = {
    "llama": {
        "config": LLAMA,
        "matters": [{"rope_theta": 500.0}, {"rope_traditional": True}, {"rms_norm_eps": 0.1}],
    },
    "llama-rope-llama3": {
        "config": {**LLAMA, "rope_scaling": LLAMA3_SCALING, "tie_word_embeddings": True},
        "matters": [
            {"rope_scaling": None},
            {"rope_scaling": {**LLAMA3_SCALING, "low_freq_factor": 2.0}},
            {"rope_scaling": {**LLAMA3_SCALING, "high_freq_factor": 8.0}},
        ],
        "extra": {"lm_head.weight": [80, 32]},
    },
    "llama-rope-linear": {
        # Without head_dim and num_key_value_heads, as older checkpoints are.
        "config": {
            **{k: v for k, v in LLAMA.items() if k not in ("head_dim", "num_key_value_heads")},
            "rope_scaling": {"type": "linear", "factor": 4.0},
        },
        "matters": [{"rope_scaling": None}],
        "extra": {"model.layers.0.self_attn.rotary_emb.inv_freq": [4]},
    },
    "llama-bias": {
        "config": {**LLAMA, "attention_bias": True, "mlp_bias": True, "rope_traditional": True},
        "matters": [{"rope_traditional": False}],
    },
    "llama-sharded": {"config": LLAMA, "shards": 2},
    "llama-bfloat16": {"config": LLAMA, "dtype": "bfloat16"},
    "llama-float16": {"config": LLAMA, "dtype": "float16"},
    "mistral": {
        "config": {
            **LLAMA,
            "model_type": "mistral",
            "architectures": ["MistralForCausalLM"],
            "num_hidden_layers": 3,
            "head_dim": 24,
            "sliding_window": 16,
            "layer_types": MISTRAL_LAYERS,
        },
        "matters": [{"sliding_window": 17}, {"layer_types": ["full_attention"] * 3}],
    },
}
