"""StarCoder2."""

STARCODER2 = {
    "model_type": "starcoder2",
    "architectures": ["Starcoder2ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "norm_epsilon": 1e-5,
    "rope_theta": 10000.0,
}

VARIANTS = {
    "starcoder2": {
        "config": STARCODER2,
        "matters": [{"rope_theta": 500.0}, {"norm_epsilon": 0.1}],
    },
    "starcoder2-quantized": {
        "config": {**STARCODER2, "intermediate_size": 64, "tie_word_embeddings": False},
        "quantize": {"bits": 4, "group_size": 32},
    },
}
