"""Gemma."""

GEMMA3 = {
    "model_type": "gemma3_text",
    "architectures": ["Gemma3ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 100.0,
    "query_pre_attn_scalar": 24,
    "sliding_window": 16,
    "sliding_window_pattern": 3,
    "max_position_embeddings": 256,
}

VARIANTS = {
    "gemma3_text": {
        "config": {**GEMMA3, "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        "matters": [
            {"rope_scaling": None},
            {"rope_theta": 500.0},
            {"rope_local_base_freq": 10000.0},
            {"query_pre_attn_scalar": 16},
            {"sliding_window": 17},
            {"sliding_window": 512},
            {"sliding_window_pattern": 2},
        ],
    },
    "gemma3_text-untied": {
        "config": {**GEMMA3, "num_hidden_layers": 2, "sliding_window_pattern": 2, "untied": True},
        "matters": [{"sliding_window": 17}],
    },
    "gemma3_text-bfloat16": {
        "config": {**GEMMA3, "num_hidden_layers": 3},
        "dtype": "bfloat16",
    },
}
