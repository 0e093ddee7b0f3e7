"""Cohere's Command R7B and Command A."""

COHERE2 = {
    "model_type": "cohere2",
    "architectures": ["Cohere2ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "layer_norm_eps": 1e-5,
    "logit_scale": 0.25,
    "rope_theta": 50000.0,
    "sliding_window": 16,
    "sliding_window_pattern": 2,
    "max_position_embeddings": 256,
}

VARIANTS = {
    "cohere2": {
        "config": {**COHERE2, "intermediate_size": 16, "logit_scale": 0.5},
        "matters": [
            {"logit_scale": 0.25},
            {"rope_theta": 500.0},
            {"sliding_window": 17},
            {"sliding_window": 512},
            {"sliding_window_pattern": 3},
            {"layer_norm_eps": 0.1},
        ],
    },
    "cohere2-float16": {
        "config": {
            **COHERE2,
            "attention_bias": True,
            "layer_norm_bias": True,
            "logit_scale": 1.0,
        },
        "dtype": "float16",
    },
    "cohere2-quantized": {
        "config": {**COHERE2, "logit_scale": 0.5},
        "quantize": {"bits": 4, "group_size": 32},
    },
}
