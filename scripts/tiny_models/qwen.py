"""Qwen 2 and 3."""

from .llama import LLAMA

QWEN2 = {
    **{key: value for key, value in LLAMA.items() if key != "head_dim"},
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}
QWEN3 = {
    **LLAMA,
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}

VARIANTS = {
    "qwen2": {"config": QWEN2, "matters": [{"rope_theta": 500.0}]},
    "qwen3": {"config": QWEN3, "matters": [{"rope_theta": 500.0}]},
    "qwen3-untied": {
        # rope_theta nested, as transformers 5 writes it.
        "config": {
            **{key: value for key, value in QWEN3.items() if key != "rope_theta"},
            "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"},
            "tie_word_embeddings": False,
        },
        "matters": [{"rope_parameters": {"rope_theta": 500.0}}],
    },
    "qwen3-bfloat16": {"config": QWEN3, "dtype": "bfloat16"},
    # Nine layers, so that mlx-lm's mixed recipes have first, last and third ones.
    "qwen3-wide": {
        "config": {
            **QWEN3,
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 9,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
        },
        "dtype": "float16",
    },
}
