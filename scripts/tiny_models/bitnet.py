"""BitNet, and other models with its ternary weights."""

import mlx.core as mx
from mlx_lm.models.bitlinear_layers import BitLinear

from .llama import LLAMA


def ternary(packed):
    """The −1, 0 and 1 of (out / 4, in) bytes, each of which holds four rows: (out, in)"""
    quarters = [(packed >> shift) & 3 for shift in (0, 2, 4, 6)]
    return mx.concatenate(quarters, axis=0).astype(mx.float32) - 1


def multiply(self, x, packed_weights):
    scale = self.weight_scale.astype(mx.float32)
    y = x.astype(mx.float32) @ ternary(packed_weights).T
    return (y / scale if self.invert_weight_scales else y * scale).astype(x.dtype)


# mlx-lm multiplies by a kernel for Metal; these ops stand in for it on other machines.
BitLinear.execute_matmul_kernel = multiply


def packed_weight(random, name, shape):
    """Values for what BitLinear has: bytes of four numbers from 0 to 2, and a scale."""
    if name.endswith("weight_scale"):
        return random.uniform(0.2, 0.4, shape)
    if name.endswith("_proj.weight"):
        return sum(random.integers(0, 3, shape) << shift for shift in (0, 2, 4, 6))
    return None


def in_bytes(weights):
    packed = {name.removesuffix("_scale") for name in weights if name.endswith("weight_scale")}
    return {
        name: value.astype(mx.uint8) if name in packed else value for name, value in weights.items()
    }


def rounded_to_ternary(weights):
    stored = {}
    for name, value in weights.items():
        if not name.endswith("_proj.weight"):
            stored[name] = value
            continue
        scale = 1 / mx.abs(value).mean()
        quarters = (mx.clip(mx.round(value * scale), -1, 1) + 1).astype(mx.uint8)
        quarters = quarters.reshape(4, -1, value.shape[1])
        stored[name] = sum(quarters[place] << mx.array(2 * place, mx.uint8) for place in range(4))
        stored[f"{name}_scale"] = scale.reshape(1)
    return stored


BITNET = {
    **LLAMA,
    "model_type": "bitnet",
    "architectures": ["BitNetForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "head_dim": 16,
    "hidden_act": "relu2",
    "tie_word_embeddings": True,
    "quantization_config": {
        "quant_method": "bitnet",
        "linear_class": "autobitlinear",
        "modules_to_not_convert": ["lm_head"],
    },
}

VARIANTS = {
    "bitnet": {
        "config": BITNET,
        "matters": [{"rope_theta": 500.0}, {"rope_traditional": True}, {"rms_norm_eps": 0.1}],
        "weight": packed_weight,
        "stored": in_bytes,
    },
    "bitnet-bias": {
        "config": {
            **BITNET,
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": False,
            "rope_scaling": {"type": "linear", "factor": 2.0},
        },
        "weight": packed_weight,
        "stored": in_bytes,
    },
    "foreign-bitnet": {
        "config": {
            **LLAMA,
            "hidden_size": 64,
            "intermediate_size": 64,
            "quantization_config": {"quant_method": "bitnet", "modules_to_not_convert": ["lm_head"]},
        },
        "stored": rounded_to_ternary,
    },
}
