"""SmolLM 3."""

from .llama import LLAMA

SMOLLM3 = {
    **{key: value for key, value in LLAMA.items() if key != "head_dim"},
    "model_type": "smollm3",
    "architectures": ["SmolLM3ForCausalLM"],
    "num_hidden_layers": 4,
    "intermediate_size": 16,
    "tie_word_embeddings": True,
}

VARIANTS = {
    "smollm3": {
        # One layer in two turns nothing, as the interval says.
        "config": {**SMOLLM3, "num_hidden_layers": 3, "no_rope_layer_interval": 2},
        "matters": [{"no_rope_layer_interval": 3}, {"rope_theta": 500.0}],
    },
    "smollm3-listed": {
        "config": {
            **SMOLLM3,
            "num_hidden_layers": 2,
            "no_rope_layers": [0, 1],
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": False,
            "layer_types": ["full_attention", "sliding_attention"],
            "sliding_window": 16,
        },
        "matters": [
            {"no_rope_layers": [1, 1]},
            {"sliding_window": 17},
            {"layer_types": ["full_attention"] * 2},
        ],
    },
    "smollm3-quantized": {
        # Every fourth layer turns nothing where config.json is silent.
        "config": {**SMOLLM3, "intermediate_size": 32, "head_dim": 8},
        "quantize": {"bits": 4, "group_size": 32},
        "matters": [{"no_rope_layer_interval": 5}],
    },
}
