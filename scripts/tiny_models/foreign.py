"""Checkpoints that other tools quantized.

mlx-lm reads AWQ by itself. For the others `oracle` writes down the same numbers as a checkpoint that
mlx-lm reads: MLX's affine grid where the format has one, dense weights where it has not.
"""

import mlx.core as mx
import numpy as np

from .quantized import WIDE

GROUP = 32
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def is_projection(name):
    return "_proj.weight" in name


def grid(weight, bits, zero=None):
    """Rounds (out, in) to whole numbers: numbers (out, in), scales and zeros (out, groups) each."""
    groups = np.array(weight.astype(mx.float32)).reshape(weight.shape[0], -1, GROUP)
    top = 2**bits - 1
    if zero is None:
        low, high = groups.min(-1), groups.max(-1)
        scales = ((high - low) / top).astype(np.float16)
        zeros = np.clip(np.round(-low / scales.astype(np.float32)), 1, top)
    else:
        scales = (np.abs(groups).max(-1) / (zero - 1)).astype(np.float16)
        zeros = np.full(scales.shape, float(zero))
    steps = groups / scales.astype(np.float32)[..., None] + zeros[..., None]
    numbers = np.clip(np.round(steps), 0, top).reshape(weight.shape)
    return numbers.astype(np.uint32), scales, zeros.astype(np.uint32)


def pack(numbers, bits, order=None):
    """Numbers (a, b) in words (a, b · bits / 32); `order` says which number each place holds."""
    per_word = 32 // bits
    words = numbers.reshape(numbers.shape[0], -1, per_word)
    words = words[..., order or list(range(per_word))]
    shifts = np.arange(per_word, dtype=np.uint32) * bits
    return np.bitwise_or.reduce(words.astype(np.uint32) << shifts, axis=-1).astype(np.uint32)


def signed(words):
    return mx.array(words.view(np.int32))


def each_projection(weights, store):
    stored = {}
    for name, weight in weights.items():
        if is_projection(name):
            path = name.removesuffix(".weight")
            stored.update({f"{path}.{part}": value for part, value in store(weight).items()})
        else:
            stored[name] = weight
    return stored


def affine_oracle(bits, zero=None):
    """MLX's own affine quantization of the same grid."""

    def affine(weight):
        numbers, scales, zeros = grid(weight, bits, zero)
        biases = -(zeros.astype(np.float32) * scales.astype(np.float32))
        return {
            "weight": mx.array(pack(numbers, bits)),
            "scales": mx.array(scales),
            "biases": mx.array(biases).astype(mx.float16),
        }

    def oracle(weights, config):
        quantization = {"group_size": GROUP, "bits": bits, "mode": "affine"}
        return each_projection(weights, affine), {**config, "quantization": quantization}

    return oracle


# ---- AWQ ------------------------------------------------------------------------------------


def awq(weight):
    numbers, scales, zeros = grid(weight, 4)
    return {
        "qweight": signed(pack(numbers.T, 4, AWQ_ORDER)),
        "qzeros": signed(pack(zeros.T, 4, AWQ_ORDER)),
        "scales": mx.array(np.ascontiguousarray(scales.T)),
    }


# ---- GPTQ -----------------------------------------------------------------------------------


def gptq(bits, version=1):
    def store(weight):
        numbers, scales, zeros = grid(weight, bits)
        less = 1 if version == 1 else 0
        return {
            "qweight": signed(np.ascontiguousarray(pack(numbers, bits).T)),
            "qzeros": signed(pack(zeros.T - less, bits)),
            "scales": mx.array(np.ascontiguousarray(scales.T)),
            "g_idx": mx.array(np.arange(weight.shape[1], dtype=np.int32) // GROUP),
        }

    return store


# ---- compressed-tensors and ModelOpt --------------------------------------------------------


def packed(asymmetric):
    def store(weight):
        numbers, scales, zeros = grid(weight, 4, None if asymmetric else 8)
        parts = {
            "weight_packed": signed(pack(numbers, 4)),
            "weight_scale": mx.array(scales),
            "weight_shape": mx.array(np.array(weight.shape, dtype=np.int64)),
        }
        if asymmetric:
            parts["weight_zero_point"] = signed(np.ascontiguousarray(pack(zeros.T, 4).T))
        return parts

    return store


GLOBAL_SCALE = 3.0


def nvfp4(weight):
    """Packed weights and scales of `weight` times a factor that only the global scale undoes."""
    return mx.quantize(weight * GLOBAL_SCALE, mode="nvfp4")


def compressed_nvfp4(weight):
    words, scales = nvfp4(weight)
    return {
        "weight_packed": words.view(mx.uint8),
        "weight_scale": scales,
        "weight_global_scale": mx.array([GLOBAL_SCALE]),
        "input_global_scale": mx.array([7.0]),
    }


def modelopt_nvfp4(weight):
    words, scales = nvfp4(weight)
    return {
        "weight": words.view(mx.uint8),
        "weight_scale": scales,
        "weight_scale_2": mx.array(1 / GLOBAL_SCALE),
        "input_scale": mx.array(0.5),
    }


def nvfp4_oracle(weights, config):
    def dense(weight):
        return {"weight": mx.dequantize(*nvfp4(weight), mode="nvfp4", dtype=mx.float32) / GLOBAL_SCALE}

    return each_projection(weights, dense), config


# ---- FP8 ------------------------------------------------------------------------------------

BLOCK = [32, 16]


def fp8_blocks(weight):
    rows, columns = BLOCK
    blocks = weight.astype(mx.float32).reshape(
        weight.shape[0] // rows, rows, weight.shape[1] // columns, columns
    )
    scales = mx.abs(blocks).max(axis=(1, 3), keepdims=True) / 448
    return mx.to_fp8(blocks / scales), scales


def fp8(weight):
    blocks, scales = fp8_blocks(weight)
    return {
        "weight": blocks.reshape(weight.shape),
        "weight_scale_inv": scales[:, 0, :, 0],
    }


def fp8_oracle(weights, config):
    def dense(weight):
        blocks, scales = fp8_blocks(weight)
        values = mx.from_fp8(blocks, dtype=mx.float32) * scales
        return {"weight": values.reshape(weight.shape).astype(mx.bfloat16)}

    return each_projection(weights, dense), config


def variant(store, quantization_config, dtype="float16", oracle=None):
    return {
        "config": {**WIDE, "num_hidden_layers": 1},
        "dtype": dtype,
        "stored": lambda weights: each_projection(weights, store),
        "stored_config": {"quantization_config": quantization_config},
        **({"oracle": oracle} if oracle else {}),
    }


def packed_config(symmetric):
    weights = {"num_bits": 4, "group_size": GROUP, "strategy": "group", "type": "int"}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {"group_0": {"weights": {**weights, "symmetric": symmetric}}},
        "ignore": ["lm_head"],
    }


VARIANTS = {
    "foreign-awq": variant(
        awq, {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm"}
    ),
    "foreign-gptq": variant(
        gptq(4),
        {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False},
        oracle=affine_oracle(4),
    ),
    "foreign-gptq-8": variant(
        gptq(8, version=2),
        {"quant_method": "gptq", "bits": 8, "group_size": GROUP, "checkpoint_format": "gptq_v2"},
        oracle=affine_oracle(8),
    ),
    "foreign-packed": variant(packed(False), packed_config(True), oracle=affine_oracle(4, zero=8)),
    "foreign-packed-zeros": variant(packed(True), packed_config(False), oracle=affine_oracle(4)),
    "foreign-nvfp4": variant(
        compressed_nvfp4,
        {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"},
        dtype="float32",
        oracle=nvfp4_oracle,
    ),
    "foreign-modelopt": variant(
        modelopt_nvfp4,
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16},
        dtype="float32",
        oracle=nvfp4_oracle,
    ),
    "foreign-fp8": variant(
        fp8,
        {"quant_method": "fp8", "weight_block_size": BLOCK, "activation_scheme": "dynamic"},
        dtype="bfloat16",
        oracle=fp8_oracle,
    ),
}
