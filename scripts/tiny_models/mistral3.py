"""Mistral with vision, and Ministral 3."""

import mlx.core as mx

from .foreign import each_projection
from .llama import LLAMA, MISTRAL_LAYERS

YARN = {
    "type": "yarn",
    "rope_theta": 10000.0,
    "factor": 16.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 4.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.4,
}
MINISTRAL3 = {
    **{key: value for key, value in LLAMA.items() if key != "rope_theta"},
    "model_type": "ministral3",
    "architectures": ["Ministral3ForCausalLM"],
    "head_dim": 8,
    "intermediate_size": 24,
    "tie_word_embeddings": True,
    "rope_parameters": YARN,
}


def wrapped(text, **changes):
    text = {**text, **changes}
    unwanted = ("architectures", "tie_word_embeddings")
    return {
        "model_type": "mistral3",
        "architectures": ["Mistral3ForConditionalGeneration"],
        "text_config": {key: value for key, value in text.items() if key not in unwanted},
        "vision_config": {"model_type": "pixtral", "num_hidden_layers": 1},
    }


def published(weights):
    """The publisher's names: the head lies beside the text model, not in it."""
    return {
        name.replace("language_model.model.", "model.language_model.").replace(
            "language_model.lm_head.", "lm_head."
        ): value
        for name, value in weights.items()
    }


def fp8_parts(weight):
    scale = mx.abs(weight.astype(mx.float32)).max() / 448
    return mx.to_fp8(weight.astype(mx.float32) / scale), scale


def fp8(weights):
    def store(weight):
        values, scale = fp8_parts(weight)
        return {"weight": values, "weight_scale_inv": scale, "activation_scale": mx.array(1.0)}

    return each_projection(published(weights), store)


def fp8_oracle(weights, config):
    def dense(weight):
        values, scale = fp8_parts(weight)
        return {"weight": (mx.from_fp8(values, dtype=mx.float32) * scale).astype(mx.bfloat16)}

    return each_projection(published(weights), dense), config


VARIANTS = {
    "llava": {
        "config": {**wrapped(LLAMA, num_hidden_layers=1), "model_type": "llava"},
        "extra": {"vision_tower.vision_model.pre_layrnorm.weight": [4]},
    },
    "ministral3": {
        "config": {
            **MINISTRAL3,
            "num_hidden_layers": 3,
            "layer_types": MISTRAL_LAYERS,
            "sliding_window": 16,
        },
        "matters": [
            {"sliding_window": 17},
            {"rope_parameters": {**YARN, "llama_4_scaling_beta": 0.0}},
            {"rope_parameters": {**YARN, "mscale_all_dim": 0.0}},
        ],
    },
    "ministral3-bfloat16": {"config": MINISTRAL3, "dtype": "bfloat16"},
    "mistral3": {
        "config": wrapped({**LLAMA, "model_type": "mistral", "num_hidden_layers": 1}),
        "stored": published,
        "extra": {
            "model.multi_modal_projector.linear_1.weight": [4, 4],
            "model.vision_tower.ln_pre.weight": [4],
        },
    },
    "mistral3-fp8": {
        # As Ministral 3 is published: a scale for each matrix.
        "config": wrapped(MINISTRAL3, num_hidden_layers=1),
        "dtype": "bfloat16",
        "stored": fp8,
        "stored_config": {
            "quantization_config": {
                "quant_method": "fp8",
                "activation_scheme": "static",
                "weight_block_size": None,
                "modules_to_not_convert": ["lm_head"],
            }
        },
        "oracle": fp8_oracle,
    },
    "mistral3-quantized": {
        "config": wrapped(
            MINISTRAL3, hidden_size=64, intermediate_size=64, head_dim=16, num_hidden_layers=1
        ),
        "quantize": {"bits": 4, "group_size": 64},
    },
}
