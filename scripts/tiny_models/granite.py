"""Granite."""

from .llama import LLAMA

GRANITE = {
    **{key: value for key, value in LLAMA.items() if key != "head_dim"},
    "model_type": "granite",
    "architectures": ["GraniteForCausalLM"],
    "intermediate_size": 32,
    "attention_bias": False,
    "mlp_bias": False,
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.2,
    "residual_multiplier": 0.6,
    "logits_scaling": 1.5,
    "tie_word_embeddings": False,
}

VARIANTS = {
    "granite": {
        "config": GRANITE,
        "matters": [
            {"embedding_multiplier": 2.0},
            {"attention_multiplier": 0.25},
            {"residual_multiplier": 0.7},
            {"logits_scaling": 2.0},
            {"rope_theta": 500.0},
        ],
    },
    "granite-bfloat16": {
        "config": {
            **GRANITE,
            "attention_bias": True,
            "mlp_bias": True,
            "embedding_multiplier": 0.7,
            "residual_multiplier": 1.3,
            "logits_scaling": 0.3,
            "tie_word_embeddings": True,
        },
        "dtype": "bfloat16",
        "extra": {"lm_head.weight": [80, 32]},
    },
    "granite-quantized": {
        # mlx-lm gives some matrices 8 bits, whatever the others have.
        "config": {**GRANITE, "hidden_size": 64, "intermediate_size": 64},
        "quantize": {"bits": 4, "group_size": 64},
    },
}
