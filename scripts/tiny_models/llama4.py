"""Llama 4 and the small dense models that share its name."""

import mlx.core as mx

from .llama import LLAMA3_SCALING

TEXT = {
    "model_type": "llama4_text",
    "vocab_size": 80,
    "hidden_size": 16,
    "intermediate_size": 16,
    "intermediate_size_mlp": 24,
    "num_hidden_layers": 4,  # the last one sees the whole text
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "attention_bias": False,
    "attention_chunk_size": 16,
    "attn_temperature_tuning": True,
    "attn_scale": 0.4,
    "floor_scale": 8,
    "interleave_moe_layer_step": 2,
    "num_experts_per_tok": 1,
    "num_local_experts": 4,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": LLAMA3_SCALING,
    "use_qk_norm": True,
    "max_position_embeddings": 256,
}
# Heads of their own width, and a layer without positions.
SMALL = {
    "model_type": "llama4_text",
    "architectures": ["Llama4ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 24,
    "intermediate_size_mlp": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "no_rope_layers": [1, 0],
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "use_qk_norm": True,
    "max_position_embeddings": 256,
}


def wrapped(**changes):
    return {
        "model_type": "llama4",
        "architectures": ["Llama4ForConditionalGeneration"],
        "text_config": {**TEXT, **changes},
        "vision_config": {"model_type": "llama4_vision_model"},
    }


def published(weights):
    """The publisher's stacks of experts are (in, out), gate_proj beside up_proj."""
    weights = dict(weights)
    for name in [name for name in weights if name.endswith("experts.gate_proj.weight")]:
        path = name.removesuffix("gate_proj.weight")
        gate, up, down = (
            weights.pop(f"{path}{part}_proj.weight").swapaxes(1, 2)
            for part in ("gate", "up", "down")
        )
        weights[f"{path}gate_up_proj"] = mx.concatenate([gate, up], axis=-1)
        weights[f"{path}down_proj"] = mx.contiguous(down)
    return weights


VARIANTS = {
    "llama4": {
        "config": wrapped(),
        "stored": published,
        "extra": {
            "multi_modal_projector.linear_1.weight": [4, 4],
            "vision_model.layernorm_pre.weight": [4],
        },
        "matters": [
            wrapped(attention_chunk_size=17),
            wrapped(attn_temperature_tuning=False),
            wrapped(floor_scale=16),
            wrapped(use_qk_norm=False),
            wrapped(rope_scaling=None),
        ],
    },
    "llama4-quantized": {
        # Every layer with experts, a number for yes, and biases.
        "config": wrapped(
            hidden_size=32,
            intermediate_size=32,
            interleave_moe_layer_step=1,
            num_local_experts=2,
            attn_temperature_tuning=4,
            attention_bias=True,
        ),
        "dtype": "bfloat16",
        "quantize": {"bits": 4, "group_size": 32},
    },
    "llama4_text": {
        "config": SMALL,
        "matters": [{"no_rope_layers": [1, 1]}, {"use_qk_norm": False}, {"rope_theta": 500.0}],
    },
    "llama4_text-untied": {
        "config": {**SMALL, "num_hidden_layers": 1, "no_rope_layers": [1],
                   "tie_word_embeddings": False, "use_qk_norm": False},
    },
}
