"""Seed-OSS."""

from .llama import LLAMA

SEED_OSS = {
    **LLAMA,
    "model_type": "seed_oss",
    "architectures": ["SeedOssForCausalLM"],
    "intermediate_size": 32,
    "head_dim": 12,
    "attention_bias": True,
    "rope_scaling": {"rope_type": "default"},
}

VARIANTS = {
    "seed_oss": {
        "config": {**SEED_OSS, "head_dim": 8},
        "matters": [{"rope_theta": 500.0}, {"rope_traditional": True}],
    },
    "seed_oss-tied": {
        "config": {
            **SEED_OSS,
            "num_hidden_layers": 1,
            "attention_bias": False,
            "attention_out_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": True,
        },
        "extra": {"lm_head.weight": [80, 32]},
    },
    "seed_oss-quantized": {
        "config": {**SEED_OSS, "head_dim": 16},
        "quantize": {"bits": 4, "group_size": 32},
    },
}
