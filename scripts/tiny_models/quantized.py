"""Every way in which MLX quantizes."""

from .llama import LLAMA
from .qwen import QWEN2, QWEN3

# Every width a multiple of 64, or of 128, so that groups of that size fit.
WIDE = {**LLAMA, "hidden_size": 64, "intermediate_size": 64}
WIDE_QWEN2 = {**QWEN2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
WIDER = {**LLAMA, "hidden_size": 128, "intermediate_size": 128, "head_dim": 32}


def mixed_predicate(path, module):
    """Another width here, another mode there, two layers dense."""
    if path == "model.embed_tokens":
        return {"group_size": 32, "bits": 8, "mode": "affine"}
    if path.endswith("layers.0.self_attn.v_proj"):
        return {"group_size": 64, "bits": 6, "mode": "affine"}
    if path.endswith("layers.1.mlp.up_proj"):
        return {"group_size": 32, "bits": 4, "mode": "mxfp4"}
    return not path.endswith(("layers.0.mlp.down_proj", "layers.1.self_attn.o_proj"))


def unnamed_predicate(path, module):
    if path.endswith(("lm_head", "v_proj")):
        return {"group_size": 32, "bits": 8, "mode": "affine"}
    return True


VARIANTS = {
    "quantized-affine-2": {"config": WIDE, "quantize": {"bits": 2, "group_size": 32}},
    "quantized-affine-3": {"config": WIDE, "quantize": {"bits": 3, "group_size": 64}},
    "quantized-affine-4": {"config": WIDER, "quantize": {"bits": 4, "group_size": 128}},
    "quantized-affine-5": {"config": WIDE, "quantize": {"bits": 5, "group_size": 32}},
    "quantized-affine-6": {"config": WIDE, "quantize": {"bits": 6, "group_size": 64}},
    "quantized-affine-8": {"config": WIDE_QWEN2, "quantize": {"bits": 8, "group_size": 32}},
    "quantized-mxfp4": {"config": WIDE, "quantize": {"mode": "mxfp4"}},
    "quantized-mxfp8": {"config": WIDE_QWEN2, "quantize": {"mode": "mxfp8"}},
    "quantized-nvfp4": {"config": WIDE, "quantize": {"mode": "nvfp4"}},
    "quantized-mixed": {
        "config": {**WIDE, "tie_word_embeddings": True},
        "quantize": {"bits": 4, "group_size": 64, "quant_predicate": mixed_predicate},
        "dense": ["model.layers.0.mlp.down_proj"],
    },
    "quantized-unnamed": {
        "config": WIDE,
        "quantize": {"bits": 4, "group_size": 64, "quant_predicate": unnamed_predicate},
        "unnamed": True,
    },
    "quantized-bfloat16": {
        "config": {**QWEN3, "hidden_size": 64, "intermediate_size": 64},
        "dtype": "bfloat16",
        "quantize": {"bits": 4, "group_size": 64},
    },
}
