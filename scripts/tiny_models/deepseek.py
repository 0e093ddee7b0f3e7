"""DeepSeek, Kimi and others with latent attention."""

import mlx.core as mx

from .experts import single_experts

YARN = {
    "type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 32,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 0.6,
}

DEEPSEEK_V3 = {
    "model_type": "deepseek_v3",
    "architectures": ["DeepseekV3ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 24,
    "moe_intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "n_shared_experts": 1,
    "n_routed_experts": 8,
    "routed_scaling_factor": 1.5,
    "q_lora_rank": 12,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 8,
    "v_head_dim": 6,
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
    "n_group": 4,
    "topk_group": 2,
    "num_experts_per_tok": 3,
    "moe_layer_freq": 1,
    "first_k_dense_replace": 1,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "rope_scaling": YARN,
    "attention_bias": False,
}
DEEPSEEK_V2 = {
    **DEEPSEEK_V3,
    "model_type": "deepseek_v2",
    "architectures": ["DeepseekV2ForCausalLM"],
    "scoring_func": "softmax",
    "norm_topk_prob": False,
}
# Widths that groups of 32 divide.
WIDE = {
    **DEEPSEEK_V3,
    "intermediate_size": 32,
    "moe_intermediate_size": 32,
    "n_routed_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "q_lora_rank": None,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 32,
    "v_head_dim": 32,
}
DENSE = {**DEEPSEEK_V3, "num_hidden_layers": 1, "n_routed_experts": None}


def join_kv_b_proj(weights, dequantize=lambda weights, path: weights[f"{path}.weight"]):
    """embed_q and unembed_out as the one matrix that publishers store, by name."""
    joined = {}
    for name in weights:
        path, found, _ = name.partition(".embed_q.weight")
        if found:
            keys = dequantize(weights, f"{path}.embed_q").swapaxes(-1, -2)
            values = dequantize(weights, f"{path}.unembed_out")
            both = mx.concatenate([keys, values], axis=1)
            joined[f"{path}.kv_b_proj.weight"] = both.reshape(-1, both.shape[-1])
    others = {
        name: value
        for name, value in weights.items()
        if ".embed_q." not in name and ".unembed_out." not in name
    }
    return {**others, **joined}


def fp8_blocks(weights):
    """Matrices of attention, MLP and experts in 8 bits, with a scale for each block of 128 × 128."""
    stored = {}
    for name, value in single_experts(join_kv_b_proj(weights)).items():
        if not name.endswith("_proj.weight"):
            stored[name] = value
            continue
        rows, columns = value.shape
        scales = mx.zeros((-(-rows // 128), -(-columns // 128)))
        scaled = mx.array(value)
        for i in range(scales.shape[0]):
            for j in range(scales.shape[1]):
                block = slice(i * 128, (i + 1) * 128), slice(j * 128, (j + 1) * 128)
                scales[i, j] = mx.abs(value[block]).max() / 448
                scaled[block] = value[block] / scales[i, j]
        stored[name] = mx.to_fp8(scaled)
        stored[f"{name}_scale_inv"] = scales
    return stored


def packed_int4_experts(weights):
    """Experts as compressed-tensors packs whole numbers of 4 bits, in groups of 32."""
    stored = {}
    for name, value in single_experts(join_kv_b_proj(weights)).items():
        if ".experts." not in name:
            stored[name] = value
            continue
        rows, columns = value.shape
        groups = value.reshape(rows, -1, 32)
        scales = mx.abs(groups).max(axis=-1, keepdims=True) / 7
        numbers = (mx.round(groups / scales) + 8).astype(mx.uint32).reshape(rows, -1, 8)
        packed = (numbers << mx.arange(0, 32, 4, dtype=mx.uint32)).sum(axis=-1)
        stored[f"{name}_packed"] = packed.astype(mx.uint32).view(mx.int32)
        stored[f"{name}_scale"] = scales.squeeze(-1)
        stored[f"{name}_shape"] = mx.array([rows, columns])
    return stored


def quantized_kv_b_proj(weights):
    """As mlx-lm saved it before it took the matrix apart."""

    def dequantize(weights, path):
        parts = [weights[f"{path}.{part}"] for part in ("weight", "scales", "biases")]
        return mx.dequantize(*parts, group_size=32, bits=8)

    stored = join_kv_b_proj(weights, dequantize)
    for name in [name for name in stored if name.endswith(".kv_b_proj.weight")]:
        path = name.removesuffix(".weight")
        stored[name], stored[f"{path}.scales"], stored[f"{path}.biases"] = mx.quantize(
            stored[name], group_size=32, bits=8
        )
    return stored


def eight_bits_of_attention(path, module):
    bits = 8 if ".self_attn." in path else 4
    return {"group_size": 32, "bits": bits, "mode": "affine"}


def soft_attention(random, name, shape):
    return random.normal(0, 0.5 / shape[-1] ** 0.5, shape) if name.endswith("q_proj.weight") else None


VARIANTS = {
    "deepseek_v2": {
        "config": {**DEEPSEEK_V2, "topk_method": "group_limited_greedy"},
        "stored": single_experts,
        "matters": [
            {"rope_theta": 500.0},
            {"rope_scaling": {**YARN, "mscale": 0.5}},
            {"rope_scaling": {**YARN, "mscale_all_dim": 1.0}},
            {"topk_method": "greedy"},
            {"topk_group": 3},
            {"num_experts_per_tok": 2},
            {"routed_scaling_factor": 1.0},
        ],
    },
    "deepseek_v2-quantized": {
        "config": {
            **WIDE,
            "model_type": "deepseek_v2",
            "topk_method": "greedy",
            "attention_bias": True,
        },
        "quantize": {"bits": 4, "group_size": 32},
    },
    "deepseek_v3": {
        "config": DEEPSEEK_V3,
        "matters": [
            {"rope_theta": 500.0},
            {"rope_scaling": None},
            {"rope_scaling": {**YARN, "mscale": 0.5}},
            {"rope_scaling": {**YARN, "mscale_all_dim": 1.0}},
            {"n_group": 1, "topk_group": 1},
            {"topk_group": 3},
            {"num_experts_per_tok": 2},
            {"norm_topk_prob": False},
            {"routed_scaling_factor": 1.0},
        ],
    },
    "deepseek_v3-mtp": {
        "config": {**DEEPSEEK_V3, "num_nextn_predict_layers": 1},
        "stored": lambda weights: single_experts(join_kv_b_proj(weights)),
        "mtp": True,
    },
    "deepseek_v3-quantized": {
        "config": {
            **WIDE,
            "num_hidden_layers": 3,
            "moe_layer_freq": 2,
            "rope_scaling": None,
            "attention_bias": True,
        },
        "quantize": {"bits": 4, "group_size": 32},
        "matters": [{"rope_theta": 500.0}],
    },
    "deepseek_v3-bfloat16": {
        # Without experts, whose choice rounding could change, and which MLX has in float32 only on
        # the CPU. One token is computed otherwise than many: soft attention keeps both together.
        "config": {**WIDE, "num_hidden_layers": 1, "n_routed_experts": None},
        "dtype": "bfloat16",
        "weight": soft_attention,
    },
    "deepseek_v3-quantized-kv_b_proj": {
        "config": {**WIDE, "num_hidden_layers": 1, "n_routed_experts": None},
        "quantize": {"bits": 8, "group_size": 32},
        "stored": quantized_kv_b_proj,
    },
    "deepseek_v3-fp8": {
        # Wide enough for a second block that is not whole.
        "config": {
            **DEEPSEEK_V3,
            "intermediate_size": 160,
            "num_hidden_layers": 2,
            "quantization_config": {
                "quant_method": "fp8",
                "fmt": "e4m3",
                "activation_scheme": "dynamic",
                "weight_block_size": [128, 128],
            },
        },
        "extra": {
            "model.layers.0.self_attn.rotary_emb.inv_freq": [4],
            "model.layers.61.eh_proj.weight": [4, 8],
        },
        "stored": fp8_blocks,
    },
    "kimi_k2": {
        "config": {
            **WIDE,
            "model_type": "kimi_k2",
            "num_hidden_layers": 1,
            "first_k_dense_replace": 0,
            "quantization_config": {
                "quant_method": "compressed-tensors",
                "format": "pack-quantized",
            },
        },
        "stored": packed_int4_experts,
    },
    "joyai_llm_flash": {"config": {**DENSE, "model_type": "joyai_llm_flash"}},
    "kimi_k25": {
        "config": {"model_type": "kimi_k25", "text_config": DENSE},
        "extra": {
            "vision_tower.encoder.blocks.0.wo.weight": [4, 4],
            "mm_projector.pre_norm.weight": [4],
        },
    },
    "kimi_vl": {
        "config": {
            "model_type": "kimi_vl",
            "text_config": {**WIDE, "num_hidden_layers": 1, "first_k_dense_replace": 0},
        },
        "quantize": {"bits": 4, "group_size": 32, "quant_predicate": eight_bits_of_attention},
    },
}
