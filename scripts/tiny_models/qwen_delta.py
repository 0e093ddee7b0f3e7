"""Qwen 3.5 and Qwen3-Next: gated delta nets between attention layers, dense or with experts."""

import numpy as np

TEXT = {
    "vocab_size": 80,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "full_attention_interval": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "rope_parameters": {
        "rope_type": "default",
        "mrope_interleaved": True,
        "mrope_section": [1, 1, 0],
        "rope_theta": 1000.0,
        "partial_rotary_factor": 0.25,
    },
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 16,
    "norm_topk_prob": True,
}


def qwen3_5(text):
    return {
        "model_type": "qwen3_5",
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "text_config": {**text, "model_type": "qwen3_5_text"},
    }


def qwen3_5_moe(text):
    return {
        "model_type": "qwen3_5_moe",
        "architectures": ["Qwen3_5MoeForConditionalGeneration"],
        "text_config": {**text, **EXPERTS, "model_type": "qwen3_5_moe_text"},
    }


def text_changes(config, *changes):
    return [{"text_config": {**config["text_config"], **change}} for change in changes]


def weight(random, name, shape):
    """Decays from almost one to almost zero, and convolutions that count."""
    if name.endswith("A_log"):
        return random.uniform(-2.0, 1.0, shape)
    if name.endswith("dt_bias"):
        return random.uniform(-2.0, 1.0, shape)
    if name.endswith("conv1d.weight"):
        return random.normal(0, 0.7, shape)
    if name.endswith("embed_tokens.weight"):
        return random.normal(0, 0.5, shape)
    return None


NORMS = (
    "layernorm.weight",
    "model.norm.weight",
    "mtp.norm.weight",
    "pre_fc_norm_embedding.weight",
    "pre_fc_norm_hidden.weight",
    "q_norm.weight",
    "k_norm.weight",
)


def publishers_layout(weights):
    """Convolutions with their taps last, and norms as their distance from one."""
    stored = {}
    for name, value in weights.items():
        if name.endswith("conv1d.weight"):
            value = value.moveaxis(1, 2)
        elif name.endswith(NORMS):
            value = value - 1
        stored[name] = value
    return stored


def stored_qwen3_5(weights):
    stored = {}
    for name, value in publishers_layout(weights).items():
        name = name.replace("language_model.model.", "model.language_model.")
        stored[name.removeprefix("language_model.")] = value
    for path in {name.split("switch_mlp.")[0] for name in stored if "switch_mlp." in name}:
        parts = [f"{path}switch_mlp.{part}.weight" for part in ("gate_proj", "up_proj")]
        both = np.concatenate([np.array(stored.pop(part)) for part in parts], axis=1)
        stored[f"{path}experts.gate_up_proj"] = type(value)(both)
        stored[f"{path}experts.down_proj"] = stored.pop(f"{path}switch_mlp.down_proj.weight")
    return stored


def stored_qwen3_next(weights):
    stored = {}
    for name, value in publishers_layout(weights).items():
        if "switch_mlp." not in name:
            stored[name] = value
            continue
        for expert, matrix in enumerate(value):
            stored[name.replace("switch_mlp.", f"experts.{expert}.")] = matrix
    return stored


DENSE = qwen3_5(TEXT)
MOE = qwen3_5_moe({**TEXT, "num_hidden_layers": 2})
QWEN3_NEXT = {
    **{key: value for key, value in TEXT.items() if key != "rope_parameters"},
    **EXPERTS,
    "model_type": "qwen3_next",
    "architectures": ["Qwen3NextForCausalLM"],
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "num_hidden_layers": 2,
    "rope_theta": 1000.0,
    "partial_rotary_factor": 0.25,
}

VARIANTS = {
    "qwen3_5": {
        "config": DENSE,
        "weight": weight,
        "matters": text_changes(
            DENSE,
            {"rope_parameters": {**TEXT["rope_parameters"], "partial_rotary_factor": 0.5}},
            {"rope_parameters": {**TEXT["rope_parameters"], "rope_theta": 10.0}},
        ),
    },
    "qwen3_5-stored": {
        "config": qwen3_5({**TEXT, "tie_word_embeddings": False, "attention_bias": True}),
        "weight": weight,
        "stored": stored_qwen3_5,
        "extra": {
            "model.visual.patch_embed.proj.weight": [4, 3],
            "mtp.layers.0.input_layernorm.weight": [16],
        },
    },
    "qwen3_5-mtp": {
        "config": qwen3_5({**TEXT, "hidden_size": 32, "mtp_num_hidden_layers": 1}),
        "weight": weight,
        "mtp": True,
    },
    "qwen3_5-bfloat16": {
        # Without text_config, as a checkpoint that never saw images.
        "config": {**DENSE["text_config"], "model_type": "qwen3_5", "num_hidden_layers": 2},
        "weight": weight,
        "dtype": "bfloat16",
    },
    "qwen3_5_moe": {
        "config": qwen3_5_moe(
            {
                **TEXT,
                "num_hidden_layers": 2,
                "hidden_size": 64,
                "head_dim": 32,
                "moe_intermediate_size": 32,
                "shared_expert_intermediate_size": 32,
            }
        ),
        "weight": weight,
        "quantize": {"bits": 4, "group_size": 32},
    },
    "qwen3_5_moe-stored": {
        "config": {**MOE, "text_config": {**MOE["text_config"], "norm_topk_prob": False}},
        "weight": weight,
        "stored": stored_qwen3_5,
        "matters": text_changes(MOE, {"norm_topk_prob": True}, {"num_experts_per_tok": 1}),
    },
    "qwen3_5_moe-mtp": {
        "config": {**MOE, "text_config": {**MOE["text_config"], "hidden_size": 32}},
        "weight": weight,
        "stored": stored_qwen3_5,
        "mtp": True,
    },
    "qwen3_next": {
        # Layers without experts, once by name and once by step.
        "config": {
            **QWEN3_NEXT,
            "num_hidden_layers": 4,
            "mlp_only_layers": [1],
            "decoder_sparse_step": 2,
        },
        "weight": weight,
        "matters": [{"rope_theta": 10.0}, {"partial_rotary_factor": 0.5}],
    },
    "qwen3_next-quantized": {
        "config": {
            **QWEN3_NEXT,
            "hidden_size": 64,
            "head_dim": 32,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 32,
        },
        "weight": weight,
        "quantize": {"bits": 4, "group_size": 32},
    },
    "qwen3_next-mtp": {
        "config": {**QWEN3_NEXT, "hidden_size": 32},
        "weight": weight,
        "stored": stored_qwen3_next,
        "mtp": True,
    },
    "qwen3_next-stored": {
        "config": {**QWEN3_NEXT, "tie_word_embeddings": False, "attention_bias": True},
        "weight": weight,
        "stored": stored_qwen3_next,
        "extra": {"mtp.fc.weight": [4, 3]},
        "matters": [{"norm_topk_prob": False}, {"num_experts_per_tok": 1}],
    },
}
