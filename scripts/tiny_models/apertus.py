"""Apertus."""

import numpy as np

from .llama import LLAMA3_SCALING

APERTUS = {
    "model_type": "apertus",
    "architectures": ["ApertusForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": LLAMA3_SCALING,
    "max_position_embeddings": 256,
    "attention_bias": False,
    "mlp_bias": False,
    "post_norm": False,
    "qk_norm": True,
    "tie_word_embeddings": False,
}


def weight(random, name, shape):
    """Curvatures that differ from layer to layer, and what is the same in all of them."""
    if name.endswith((".alpha_p", ".alpha_n")):
        return np.array(random.uniform(-1, 1))
    if name.endswith(".beta"):
        return np.array(0.5)
    return np.array(-1e-6) if name.endswith(".eps") else None


def publishers(weights):
    """Where every curvature is a list of one number."""
    return {
        name: value.reshape(1) if name.endswith((".alpha_p", ".alpha_n")) else value
        for name, value in weights.items()
    }


VARIANTS = {
    "apertus": {
        "config": APERTUS,
        "weight": weight,
        "stored": publishers,
        "matters": [{"rope_theta": 500.0}, {"rope_traditional": True}, {"rope_scaling": None}],
    },
    "apertus-quantized": {
        "config": {
            **APERTUS,
            "intermediate_size": 64,
            "mlp_bias": True,
            "rope_scaling": None,
            "tie_word_embeddings": True,
        },
        "weight": weight,
        "quantize": {"bits": 4, "group_size": 32},
    },
}
