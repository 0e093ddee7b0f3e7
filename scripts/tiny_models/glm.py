"""GLM 4."""

from .llama import LLAMA

GLM4 = {
    **LLAMA,
    "model_type": "glm4",
    "architectures": ["Glm4ForCausalLM"],
    "intermediate_size": 32,
    "head_dim": 12,
    "attention_bias": True,
    "partial_rotary_factor": 0.5,
}

VARIANTS = {
    "glm4": {
        # 6 of 12 numbers turn, in adjacent pairs.
        "config": {**GLM4, "num_attention_heads": 2, "num_key_value_heads": 1},
        "matters": [
            {"partial_rotary_factor": 1.0},
            {"rope_theta": 500.0},
            {"rope_traditional": False},
        ],
    },
    "glm4-quantized": {
        "config": {
            **GLM4,
            "head_dim": 16,
            "attention_bias": False,
            "rope_traditional": False,
        },
        "quantize": {"bits": 4, "group_size": 32},
        "matters": [{"rope_traditional": True}],
    },
}
