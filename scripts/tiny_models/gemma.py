"""Gemma."""

GEMMA2 = {
    "model_type": "gemma2",
    "architectures": ["Gemma2ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "query_pre_attn_scalar": 24,
    "attn_logit_softcapping": 3.0,
    "final_logit_softcapping": 8.0,
}
GEMMA3 = {
    "model_type": "gemma3_text",
    "architectures": ["Gemma3ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 100.0,
    "query_pre_attn_scalar": 24,
    "sliding_window": 16,
    "sliding_window_pattern": 3,
    "max_position_embeddings": 256,
}

# The text part of a checkpoint that also sees; 8 heads over 4 of keys unless the config says more.
GEMMA3_TEXT_PART = {
    key: value
    for key, value in GEMMA3.items()
    if key not in ("architectures", "vocab_size", "num_attention_heads", "num_key_value_heads")
}
GEMMA3_VISION = {
    "model_type": "gemma3",
    "architectures": ["Gemma3ForConditionalGeneration"],
    "text_config": {
        **GEMMA3_TEXT_PART,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "head_dim": 8,
        "sliding_window_pattern": 2,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
    "vision_config": {"model_type": "siglip_vision_model", "num_hidden_layers": 1},
    "vocab_size": 80,
}

VARIANTS = {
    "gemma2": {
        "config": {**GEMMA2, "head_dim": 12},
        "matters": [
            {"attn_logit_softcapping": 4.0},
            {"final_logit_softcapping": 9.0},
            {"query_pre_attn_scalar": 16},
            {"rope_theta": 500.0},
            {"rope_traditional": True},
        ],
    },
    "gemma2-bfloat16": {
        "config": {**GEMMA2, "final_logit_softcapping": 30.0},
        "dtype": "bfloat16",
    },
    "gemma2-quantized": {
        "config": {**GEMMA2, "intermediate_size": 64, "num_hidden_layers": 3},
        "quantize": {"bits": 4, "group_size": 32},
    },
    "gemma3": {
        "config": GEMMA3_VISION,
        "matters": [
            {"text_config": {**GEMMA3_VISION["text_config"], "query_pre_attn_scalar": 16}},
        ],
        "extra": {
            "multi_modal_projector.mm_input_projection_weight": [4, 4],
            "vision_tower.vision_model.embeddings.patch_embedding.bias": [4],
        },
    },
    "gemma3-quantized": {
        "config": {
            **GEMMA3_VISION,
            "text_config": {
                **GEMMA3_VISION["text_config"],
                "hidden_size": 64,
                "intermediate_size": 64,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "head_dim": 32,
            },
        },
        "quantize": {
            "bits": 4,
            "group_size": 64,
            "quant_predicate": lambda path, _: {"group_size": 32, "bits": 8}
            if path == "language_model.model.layers.0.self_attn.v_proj"
            else True,
        },
    },
    "gemma3_text": {
        "config": {**GEMMA3, "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        "matters": [
            {"rope_scaling": None},
            {"rope_theta": 500.0},
            {"rope_local_base_freq": 10000.0},
            {"query_pre_attn_scalar": 16},
            {"sliding_window": 17},
            {"sliding_window": 512},
            {"sliding_window_pattern": 2},
        ],
    },
    "gemma3_text-untied": {
        "config": {**GEMMA3, "num_hidden_layers": 2, "sliding_window_pattern": 2, "untied": True},
        "matters": [{"sliding_window": 17}],
    },
    "gemma3_text-bfloat16": {
        "config": {**GEMMA3, "num_hidden_layers": 3},
        "dtype": "bfloat16",
    },
}
