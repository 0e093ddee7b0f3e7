"""Gemma 4."""

import math

import mlx.core as mx

GEMMA4 = {
    "model_type": "gemma4_text",
    "architectures": ["Gemma4ForCausalLM"],
    "vocab_size": 80,
    "vocab_size_per_layer_input": 80,
    "hidden_size": 24,
    "intermediate_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "global_head_dim": 16,
    "hidden_size_per_layer_input": 4,
    "num_kv_shared_layers": 2,
    "sliding_window": 16,
    "sliding_window_pattern": 2,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 256,
}

# As in the large ones: experts beside the MLP, full layers whose keys are their values, and the
# wave lengths written out.
ROPE = {
    "full_attention": {
        "partial_rotary_factor": 0.5,
        "rope_theta": 1000.0,
        "rope_type": "proportional",
    },
    "sliding_attention": {"rope_theta": 100.0, "rope_type": "default"},
}
EXPERTS = {
    **GEMMA4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_global_key_value_heads": 1,
    "attention_k_eq_v": True,
    "hidden_size_per_layer_input": 0,
    "num_kv_shared_layers": 0,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": ROPE,
    "enable_moe_block": True,
    "num_experts": 4,
    "top_k_experts": 2,
    "moe_intermediate_size": 16,
}


def wrapped(text, **changes):
    text = {**text, **changes}
    return {
        "model_type": "gemma4",
        "architectures": ["Gemma4ForConditionalGeneration"],
        "text_config": {key: value for key, value in text.items() if key != "architectures"},
        "vision_config": {"model_type": "gemma4_vision", "num_hidden_layers": 1},
        "vocab_size": 80,
    }


def weight(random, name, shape):
    if name.endswith("layer_scalar"):
        return random.uniform(0.7, 1.2, shape)
    if name.endswith("router.scale"):
        return random.uniform(0.6, 1.4, shape) * math.sqrt(shape[0])
    if name.endswith("per_expert_scale"):
        return random.uniform(0.5, 1.5, shape)
    if "norm" in name:
        # Strong layers, so that the reply is not the prompt's last token again and again.
        centre = 3.0 if ".post_" in name else 1.0
        return random.uniform(centre - 0.4, centre + 0.4, shape)
    return None


def published(weights):
    """The names of the publisher, who stacks the experts' gates on their up_proj."""
    weights = {
        name.replace("language_model.model.", "model.language_model."): value
        for name, value in weights.items()
    }
    for name in [name for name in weights if name.endswith("switch_glu.gate_proj.weight")]:
        path = name.removesuffix("switch_glu.gate_proj.weight")
        parts = [weights.pop(f"{path}switch_glu.{part}_proj.weight") for part in ("gate", "up")]
        weights[f"{path}gate_up_proj"] = mx.concatenate(parts, axis=-2)
        weights[f"{path}down_proj"] = weights.pop(f"{path}switch_glu.down_proj.weight")
    return weights


def changed(**changes):
    return {"text_config": wrapped(EXPERTS, **changes)["text_config"]}


VARIANTS = {
    "gemma4": {
        "config": wrapped(EXPERTS),
        "weight": weight,
        "stored": published,
        "extra": {
            "model.audio_tower.subsample_conv_projection.bias": [4],
            "model.embed_vision.embedding_projection.weight": [4, 4],
            "model.language_model.layers.0.self_attn.q_proj.input_max": [1],
            "model.vision_tower.patch_embedder.bias": [4],
        },
        "matters": [
            changed(top_k_experts=1),
            changed(sliding_window=17),
            changed(rope_parameters={}),
            changed(final_logit_softcapping=None),
        ],
    },
    "gemma4-quantized": {
        "config": wrapped(
            EXPERTS, hidden_size=64, head_dim=16, intermediate_size=32, moe_intermediate_size=32
        ),
        "weight": weight,
        "quantize": {
            "bits": 4,
            "group_size": 32,
            "quant_predicate": lambda path, _: {"group_size": 64, "bits": 8}
            if path.endswith("router.proj")
            else True,
        },
    },
    "gemma4_text": {
        "config": GEMMA4,
        "weight": weight,
        "matters": [
            {"sliding_window": 17},
            {"rope_parameters": ROPE},
            {"final_logit_softcapping": 10.0},
        ],
    },
    "gemma4_text-untied": {
        # Shared keys without wider MLPs, and a head of its own.
        "config": {
            **GEMMA4,
            "num_hidden_layers": 3,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            "num_kv_shared_layers": 1,
            "global_head_dim": None,
            "use_double_wide_mlp": False,
            "hidden_size_per_layer_input": 0,
            "tie_word_embeddings": False,
        },
        "weight": weight,
        "extra": {
            "model.layers.2.self_attn.k_norm.weight": [8],
            "model.layers.2.self_attn.k_proj.weight": [8, 24],
            "model.layers.2.self_attn.v_proj.weight": [8, 24],
        },
    },
    "gemma4_text-bfloat16": {
        "config": {
            **GEMMA4,
            "hidden_size": 32,
            "intermediate_size": 24,
            "hidden_size_per_layer_input": 8,
            "attention_k_eq_v": True,
            "rope_parameters": ROPE,
        },
        "weight": weight,
        "dtype": "bfloat16",
    },
    "gemma4_unified": {
        "config": {
            **wrapped(EXPERTS, num_hidden_layers=1, layer_types=["full_attention"],
                      enable_moe_block=False),
            "model_type": "gemma4_unified",
        },
        "weight": weight,
        "stored": published,
        "extra": {"model.vision_embedder.patch_projection.weight": [4, 4]},
    },
}
