"""ERNIE."""

from .llama import LLAMA

ERNIE45 = {
    **LLAMA,
    "model_type": "ernie4_5",
    "architectures": ["Ernie4_5ForCausalLM"],
    "head_dim": 12,
    "intermediate_size": 40,
    "use_bias": False,
    "tie_word_embeddings": True,
}

VARIANTS = {
    "ernie4_5": {"config": ERNIE45, "matters": [{"rope_theta": 50.0}, {"rms_norm_eps": 0.1}]},
    "ernie4_5-bias": {
        "config": {
            **{key: value for key, value in ERNIE45.items() if key != "head_dim"},
            "head_dim": None,
            "use_bias": True,
            "tie_word_embeddings": False,
        },
        "dtype": "float16",
    },
}
