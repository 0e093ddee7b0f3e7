"""Granite."""

from .llama import LLAMA

# Matrices that mlx-lm gives 8 bits, whatever the others have, want widths of 64.
GRANITE = {
    **{key: value for key, value in LLAMA.items() if key != "head_dim"},
    "model_type": "granite",
    "architectures": ["GraniteForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 64,
    "attention_bias": False,
    "mlp_bias": False,
    "embedding_multiplier": 1.2,
    "attention_multiplier": 0.2,
    "residual_multiplier": 0.8,
    "logits_scaling": 1.5,
    "tie_word_embeddings": True,
}

VARIANTS = {
    "granite": {
        "config": GRANITE,
        "quantize": {"bits": 4, "group_size": 64},
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
            "num_hidden_layers": 1,
            "attention_bias": True,
            "mlp_bias": True,
            "logits_scaling": 0.5,
            "tie_word_embeddings": False,
        },
        "dtype": "bfloat16",
    },
}
