"""OLMo 2 and 3."""

from .llama import LLAMA

OLMO2 = {
    **{key: value for key, value in LLAMA.items() if key != "head_dim"},
    "model_type": "olmo2",
    "architectures": ["Olmo2ForCausalLM"],
    "intermediate_size": 32,
    "rope_theta": 500000.0,
}
OLMO3 = {
    **OLMO2,
    "model_type": "olmo3",
    "architectures": ["Olmo3ForCausalLM"],
    "num_hidden_layers": 4,
    "sliding_window": 16,
}
YARN = {
    "rope_type": "yarn",
    "factor": 8.0,
    "original_max_position_embeddings": 32,
    "beta_fast": 3,
    "beta_slow": 0.25,
}

VARIANTS = {
    "olmo2": {
        "config": OLMO2,
        "matters": [{"rope_theta": 500.0}, {"rope_traditional": True}, {"rms_norm_eps": 0.1}],
        "extra": {"model.layers.0.self_attn.rotary_emb.inv_freq": [4]},
    },
    "olmo2-quantized": {
        "config": {
            **{key: value for key, value in OLMO2.items() if key != "num_key_value_heads"},
            "num_attention_heads": 2,
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": True,
        },
        "quantize": {"bits": 4, "group_size": 32},
    },
    "olmo3": {
        # Without layer_types the last of four looks at everything, with a scaling of its own.
        "config": {
            **OLMO3,
            "intermediate_size": 16,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "rope_theta": 100.0,
            "rope_scaling": YARN,
        },
        "matters": [
            {"rope_scaling": None},
            {"rope_theta": 200.0},
            {"sliding_window": 17},
            {"layer_types": ["full_attention"] + ["sliding_attention"] * 3},
        ],
    },
    "olmo3-quantized": {
        "config": {
            **OLMO3,
            "num_hidden_layers": 3,
            "attention_bias": True,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "tie_word_embeddings": True,
        },
        "quantize": {"bits": 4, "group_size": 32},
        "matters": [{"sliding_window": 512}],
    },
}
