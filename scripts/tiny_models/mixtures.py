"""Mixtures of experts: dots.llm1, ERNIE, OLMoE."""

from .experts import single_experts
from .llama import LLAMA

DOTS1 = {
    **LLAMA,
    "model_type": "dots1",
    "architectures": ["Dots1ForCausalLM"],
    "intermediate_size": 24,
    "head_dim": 8,
    "moe_intermediate_size": 8,
    "first_k_dense_replace": 1,
    "n_routed_experts": 6,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.5,
    "scoring_func": "noaux_tc",
    "n_group": 3,
    "topk_group": 2,
}
ERNIE = {
    **LLAMA,
    "model_type": "ernie4_5_moe",
    "architectures": ["Ernie4_5_MoeForCausalLM"],
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "use_bias": False,
    "tie_word_embeddings": True,
    "moe_num_experts": 4,
    "moe_intermediate_size": 8,
    "moe_k": 2,
    "moe_num_shared_experts": 2,
    "moe_layer_start_index": 1,
    "moe_layer_end_index": 2,
    "moe_layer_interval": 1,
    "moe_capacity": [64, 64, 64],
}
OLMOE = {
    **LLAMA,
    "model_type": "olmoe",
    "architectures": ["OlmoeForCausalLM"],
    "intermediate_size": 8,
    "head_dim": 8,
    "num_experts": 5,
    "num_experts_per_tok": 3,
    "norm_topk_prob": False,
}


def dots1_experts(weights):
    """The publisher's experts, which mlx-lm stacks under the same name."""
    experts = {name.replace(".experts.", ".switch_mlp."): value for name, value in weights.items()}
    return single_experts(experts)


VARIANTS = {
    "dots1": {
        "config": DOTS1,
        "stored": dots1_experts,
        "matters": [
            {"rope_theta": 500.0},
            {"topk_group": 1},
            {"norm_topk_prob": False},
            {"routed_scaling_factor": 1.0},
        ],
    },
    "dots1-quantized": {
        "config": {
            **{key: value for key, value in DOTS1.items() if "group" not in key},
            "intermediate_size": 32,
            "moe_intermediate_size": 32,
            "n_routed_experts": 4,
            "n_shared_experts": 1,
            "mlp_bias": True,
            "tie_word_embeddings": True,
            "rope_scaling": {"type": "linear", "factor": 4.0},
        },
        "quantize": {"bits": 4, "group_size": 32},
    },
    "ernie4_5_moe": {
        "config": ERNIE,
        "extra": {
            "model.mtp_block.0.input_layernorm.weight": [32],
            "model.layers.1.mlp.moe_statics.e_score_correction_bias": [1, 4],
        },
        "stored": single_experts,
        "matters": [{"rope_theta": 500.0}, {"moe_k": 1}, {"moe_gate_act": "sigmoid"}],
    },
    "ernie4_5_moe-quantized": {
        # With vision there is a number for each kind of experts.
        "config": {
            **{key: value for key, value in ERNIE.items() if key != "moe_intermediate_size"},
            "num_hidden_layers": 2,
            "intermediate_size": 32,
            "use_bias": True,
            "tie_word_embeddings": False,
            "moe_num_shared_experts": 0,
            "moe_layer_start_index": [1, 1],
            "moe_layer_end_index": [1, 0],
            "moe_layer_interval": 2,
            "moe_gate_act": "sigmoid",
        },
        "quantize": {"bits": 4, "group_size": 32},
    },
    "olmoe": {
        "config": OLMOE,
        "stored": single_experts,
        "matters": [{"rope_theta": 500.0}, {"norm_topk_prob": True}, {"num_experts_per_tok": 2}],
    },
    "olmoe-quantized": {
        "config": {
            **OLMOE,
            "intermediate_size": 32,
            "num_experts": 4,
            "norm_topk_prob": True,
            "attention_bias": True,
            "mlp_bias": True,
            "rope_traditional": True,
            "tie_word_embeddings": True,
            "rope_scaling": {"type": "linear", "factor": 4.0},
        },
        "quantize": {"bits": 4, "group_size": 32},
    },
}
