"""Phi 3, 3.5 and 4."""

from .llama import LLAMA

PHI3 = {
    **{key: value for key, value in LLAMA.items() if key != "head_dim"},
    "model_type": "phi3",
    "architectures": ["Phi3ForCausalLM"],
    "intermediate_size": 32,
}
# Heads of 8 numbers, 6 of which turn: one factor for each of 3 pairs.
LONGROPE = {
    "type": "longrope",
    "short_factor": [1.0] * 3,
    "long_factor": [1.1, 3.0, 9.0],
}
PHI4_MINI = {
    **PHI3,
    "partial_rotary_factor": 0.75,
    "original_max_position_embeddings": 32,
    "rope_scaling": LONGROPE,
    "tie_word_embeddings": True,
}
WIDE = {**PHI3, "hidden_size": 64, "intermediate_size": 64}

VARIANTS = {
    "phi3": {
        # All heads have keys of their own, as in Phi 3 Mini.
        "config": {k: v for k, v in PHI3.items() if k != "num_key_value_heads"},
        "matters": [{"rope_theta": 500.0}, {"rope_traditional": True}],
    },
    "phi3-longrope": {
        "config": PHI4_MINI,
        "matters": [
            {"rope_scaling": None},
            {"rope_scaling": {**LONGROPE, "long_factor": [2.0, 3.0, 9.0]}},
            {"original_max_position_embeddings": 64},
            {"max_position_embeddings": 512},
        ],
    },
    "phi3-bfloat16": {"config": {**PHI4_MINI, "num_hidden_layers": 1}, "dtype": "bfloat16"},
    "phi3-quantized": {
        "config": {
            **WIDE,
            "rope_scaling": {"type": "linear", "factor": 4.0, "long_factor": None},
        },
        "quantize": {"bits": 4, "group_size": 64},
        "matters": [{"rope_scaling": None}],
    },
}
