"""EXAONE 4."""

from .llama import LLAMA, LLAMA3_SCALING

EXAONE4 = {
    **LLAMA,
    "model_type": "exaone4",
    "architectures": ["Exaone4ForCausalLM"],
    "intermediate_size": 32,
    "head_dim": 8,
    "rope_scaling": LLAMA3_SCALING,
    "sliding_window": None,
    "sliding_window_pattern": None,
}

VARIANTS = {
    "exaone4": {
        # As the 32B model: local layers, which turn, and global ones, which do not.
        "config": {
            **EXAONE4,
            "num_hidden_layers": 4,
            "intermediate_size": 16,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "sliding_window": 16,
            "sliding_window_pattern": "LLG",
        },
        "matters": [
            {"sliding_window": 17},
            {"sliding_window_pattern": "LG"},
            {"rope_theta": 500.0},
        ],
    },
    "exaone4-quantized": {
        # As the 1.2B model: every layer looks at everything and turns.
        "config": {**EXAONE4, "tie_word_embeddings": True},
        "quantize": {"bits": 4, "group_size": 32},
        "matters": [
            {"rope_scaling": None},
            {"sliding_window_pattern": "LG", "sliding_window": 16},
        ],
    },
}
