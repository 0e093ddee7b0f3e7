"""Hunyuan."""

from .llama import LLAMA

HUNYUAN = {
    **LLAMA,
    "model_type": "hunyuan_v1_dense",
    "architectures": ["HunYuanDenseV1ForCausalLM"],
    "head_dim": 12,
    "intermediate_size": 40,
    "use_qk_norm": True,
    "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0},
    "tie_word_embeddings": True,
}

VARIANTS = {
    "hunyuan_v1_dense": {
        "config": HUNYUAN,
        "matters": [
            {"rope_theta": 50.0},
            {"rope_scaling": {**HUNYUAN["rope_scaling"], "alpha": 2.0}},
            {"rope_scaling": None},
        ],
        "extra": {"lm_head.weight": [80, 32]},
    },
    "hunyuan_v1_dense-bias": {
        "config": {
            **{key: value for key, value in HUNYUAN.items() if key != "head_dim"},
            "attention_bias": True,
            "use_qk_norm": False,
            "rope_scaling": None,
            "tie_word_embeddings": False,
        },
    },
    "hunyuan_v1_dense-quantized": {
        "config": {**HUNYUAN, "hidden_size": 64, "intermediate_size": 64, "head_dim": 16},
        "dtype": "float16",
        "quantize": {"bits": 4, "group_size": 32},
    },
}
