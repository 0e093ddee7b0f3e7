"""GLM 4.5 to 4.7, mixture of experts, with ordinary and with latent attention."""

from .deepseek import DEEPSEEK_V3, WIDE, join_kv_b_proj
from .experts import single_experts

GLM4_MOE = {
    **{key: value for key, value in DEEPSEEK_V3.items() if "_lora_" not in key and "v_head" not in key},
    "model_type": "glm4_moe",
    "architectures": ["Glm4MoeForCausalLM"],
    "num_attention_heads": 4,
    "head_dim": 8,
    "partial_rotary_factor": 0.5,
    "use_qk_norm": True,
    "attention_bias": True,
    "tie_word_embeddings": False,
    "rope_scaling": None,
}
GLM4_MOE_LITE = {
    **DEEPSEEK_V3,
    "model_type": "glm4_moe_lite",
    "architectures": ["Glm4MoeLiteForCausalLM"],
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "num_nextn_predict_layers": 1,
}


def published(weights):
    """With the names of the publisher, and the layer that guesses one more token."""
    return single_experts(join_kv_b_proj(weights))


VARIANTS = {
    "glm4_moe": {
        "config": GLM4_MOE,
        "extra": {"model.layers.2.eh_proj.weight": [4, 8]},
        "stored": published,
        "matters": [
            {"rope_theta": 500.0},
            {"partial_rotary_factor": 1.0},
            {"topk_group": 1},
            {"num_experts_per_tok": 1},
            {"norm_topk_prob": False},
            {"routed_scaling_factor": 1.0},
        ],
    },
    "glm4_moe-quantized": {
        "config": {
            **GLM4_MOE,
            "head_dim": 16,
            "intermediate_size": 32,
            "moe_intermediate_size": 32,
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "num_experts_per_tok": 2,
            "use_qk_norm": False,
            "attention_bias": False,
            "first_k_dense_replace": 0,
        },
        "quantize": {"bits": 4, "group_size": 32},
    },
    "glm4_moe-mtp": {
        "config": {**GLM4_MOE, "num_nextn_predict_layers": 1},
        "extra": {
            "model.layers.2.embed_tokens.weight": [4, 8],
            "model.layers.2.shared_head.head.weight": [4, 8],
        },
        "stored": published,
        "mtp": True,
    },
    "glm4_moe_lite": {
        "config": GLM4_MOE_LITE,
        "extra": {"model.layers.2.eh_proj.weight": [4, 8]},
        "stored": published,
        "matters": [
            {"rms_norm_eps": 0.1},
            {"topk_group": 1},
            {"norm_topk_prob": False},
        ],
    },
    "glm4_moe_lite-mtp": {
        "config": {**GLM4_MOE_LITE, "num_hidden_layers": 1, "first_k_dense_replace": 0},
        "mtp": True,
    },
    "glm4_moe_lite-quantized": {
        "config": {**WIDE, **{key: GLM4_MOE_LITE[key] for key in ("model_type", "rms_norm_eps")}},
        "quantize": {"bits": 4, "group_size": 32},
    },
    "solar_open": {
        "config": {
            **{key: value for key, value in GLM4_MOE.items() if "group" not in key},
            "model_type": "solar_open",
            "num_hidden_layers": 1,
            "first_k_dense_replace": 0,
            "n_routed_experts": 4,
            "attention_bias": False,
        },
    },
}
