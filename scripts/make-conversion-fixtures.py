#!/usr/bin/env python3
"""Writes what mlx-lm's convert makes of the tiny models, as fixtures for ours: test/fixtures/conversions.json.

    python scripts/make-conversion-fixtures.py

Needs the packages of scripts/requirements-oracle.txt, and the models of make-tiny-model.py. Of each
model it keeps the quantization that config.json then has, and a hash of all tensors.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map_with_path
from mlx_lm.convert import mixed_quant_predicate_builder
from mlx_lm.utils import dequantize_model, load_model, quantize_model

from tiny_models import VARIANTS

FIXTURES = Path(__file__).resolve().parent.parent / "test" / "fixtures"
# Every family is quantized like this, so that all learn which modules stay more precise.
USUAL = {"bits": 4, "group_size": 32}
# One model in every other way: its widths are multiples of 64.
OTHERS = {
    "foreign-awq": [{"dequantize": True}],
    "qwen3-wide": [
        {"bits": 8, "group_size": 64},
        {"bits": 3, "group_size": 64, "recipe": "mixed_3_6"},
        {"bits": 2, "group_size": 32, "recipe": "mixed_2_6"},
        {"mode": "mxfp4"},
        {"mode": "mxfp8"},
        {"mode": "nvfp4"},
        {"bits": 4, "group_size": 64, "dtype": "bfloat16"},
        {"dtype": "float16"},
    ],
}


def digest(model):
    """A hash of the names and bytes of all tensors, in order of name."""
    total = hashlib.sha256()
    for name, tensor in sorted(tree_flatten(model.parameters())):
        total.update(name.encode() + b"\n")
        total.update(np.array(mx.contiguous(tensor).view(mx.uint8)).tobytes())
    return total.hexdigest()


def cast(model, dtype):
    keep = getattr(model, "cast_predicate", lambda name: True)

    def convert(name, value):
        floating = mx.issubdtype(value.dtype, mx.floating)
        return value.astype(getattr(mx, dtype)) if floating and keep(name) else value

    model.update(tree_map_with_path(convert, model.parameters()))


def convert(folder, way):
    model, config = load_model(folder, lazy=True)
    if dtype := way.get("dtype"):
        cast(model, dtype)
    recipe = way.get("recipe")
    if "bits" in way or "mode" in way:
        model, config = quantize_model(
            model,
            config,
            way.get("group_size"),
            way.get("bits"),
            mode=way.get("mode", "affine"),
            quant_predicate=recipe
            and mixed_quant_predicate_builder(recipe, model, way["group_size"]),
        )
    elif way.get("dequantize"):
        model = dequantize_model(model)
        config.pop("quantization", None)
    return {
        "way": way,
        "quantization": config.get("quantization"),
        "sha256": digest(model),
    }


def is_dense(folder):
    """Whether all weights are dense, in a checkpoint that mlx-lm reads as a whole."""
    if "oracle" in VARIANTS[folder.name] or "mtp" in VARIANTS[folder.name]:
        return False
    config = json.loads((folder / "config.json").read_text())
    return "quantization" not in config and "quantization_config" not in config


def is_wide_enough(folder):
    """Whether anything can be quantized; routers of experts are in groups of 64, whatever the rest is."""
    model, _ = load_model(folder, lazy=True)
    predicate = getattr(model, "quant_predicate", None) or (lambda path, module: True)
    matrices = [entry for entry in model.named_modules() if hasattr(entry[1], "to_quantized")]
    width_of = lambda module: module.weight.shape[-1]
    routers = [module for path, module in matrices if isinstance(predicate(path, module), dict)]
    return all(width_of(module) % 64 == 0 for module in routers) and any(
        width_of(module) % USUAL["group_size"] == 0 for _, module in matrices
    )


def main():
    made_with = {name: version(name) for name in ("mlx-lm", "mlx")}
    conversions = {}
    for folder in sorted((FIXTURES / "models").iterdir()):
        ways = OTHERS.get(folder.name, [])
        if is_dense(folder):
            ways = [USUAL, *ways]
        if ways and is_wide_enough(folder):
            conversions[folder.name] = [convert(folder, way) for way in ways]
    lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in conversions.items()]
    text = f'{{"madeWith": {json.dumps(made_with)}, "conversions": {{\n' + ",\n".join(lines) + "\n}}\n"
    (FIXTURES / "conversions.json").write_text(text)
    print(f"{sum(map(len, conversions.values()))} conversions of {len(conversions)} models")


if __name__ == "__main__":
    main()
