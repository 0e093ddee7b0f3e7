#!/usr/bin/env python3
"""Writes tiny random adapters and what mlx-lm computes with them: test/fixtures/adapters/NAME/.

    python scripts/make-adapter-fixtures.py

Needs the packages of scripts/requirements-oracle.txt, and the models of make-tiny-model.py. Those in
PEFT's format hold the numbers of one in mlx-lm's, which the golden comes from.
"""

import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.generate import generate_step
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model

from tiny_sampling import base64_of

FIXTURES = Path(__file__).resolve().parent.parent / "test" / "fixtures"
RANK, SCALE = 4, 2.5
PROMPT_LENGTH, NEW_TOKENS = 20, 24

# model: the fixture it is for; keys: modules of a layer, all linear ones unless told;
# layers: how many of the last layers; peft: in PEFT's format
ADAPTERS = {
    "lora": {"model": "llama", "layers": 1},
    "lora-embedding": {"model": "qwen3", "layers": 2, "keys": ["self_attn.v_proj", "model.embed_tokens"]},
    "lora-quantized": {"model": "quantized-affine-4", "layers": 2, "keys": ["self_attn.q_proj"]},
    "lora-bfloat16": {"model": "qwen3-bfloat16", "layers": 2},
    "lora-experts": {"model": "qwen3_moe", "layers": 2},
    "dora": {"model": "llama-bias", "layers": 2, "type": "dora"},
    "dora-quantized": {"model": "quantized-affine-8", "layers": 2, "type": "dora"},
    "full": {"model": "llama", "layers": 0, "type": "full"},
    "peft": {"model": "llama", "layers": 2, "peft": True},
    "peft-dora": {"model": "llama-bias", "layers": 2, "type": "dora", "peft": True},
}


def mlx_config(adapter):
    return {
        "fine_tune_type": adapter.get("type", "lora"),
        "num_layers": adapter["layers"],
        "lora_parameters": {
            "rank": RANK,
            "scale": SCALE,
            "dropout": 0.0,
            **({"keys": adapter["keys"]} if "keys" in adapter else {}),
        },
    }


def random_tensors(model, adapter, random):
    """Values that change the reply without drowning the model."""
    if adapter.get("type") == "full":
        names = ["model.layers.1.mlp.down_proj.weight", "model.norm.weight"]
        shapes = dict(tree_flatten(model.parameters()))
        return {
            name: mx.array(np.array(shapes[name]) * random.uniform(0.5, 1.5, shapes[name].shape))
            for name in names
        }
    tensors = {}
    for name, value in tree_flatten(model.parameters()):
        part = name.rsplit(".", 1)[-1]
        if part in ("lora_a", "lora_b"):
            tensors[name] = random.normal(0, 0.25, value.shape)
        elif part == "m":
            tensors[name] = np.array(value) * random.uniform(0.7, 1.3, value.shape)
    return {name: mx.array(value.astype(np.float32)) for name, value in tensors.items()}


def write(folder, config, weights, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    mx.save_safetensors(str(folder / name), weights, {"format": "mlx"})


def to_peft(weights, is_dora):
    """The same numbers under PEFT's names; one module has an alpha of its own."""
    special = "model.layers.1.self_attn.o_proj"
    stored = {}
    for name, value in weights.items():
        path, part = name.rsplit(".", 1)
        prefix = f"base_model.model.{path}"
        if part == "lora_a":
            stored[f"{prefix}.lora_A.weight"] = mx.contiguous(value.T)
        elif part == "lora_b":
            factor = 0.5 if path == special else 1.0
            stored[f"{prefix}.lora_B.weight"] = mx.contiguous(value.T) * factor
        else:
            stored[f"{prefix}.lora_magnitude_vector"] = value
    modules = sorted({name.split(".")[-2] for name in weights})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "nobody/nothing",
        "r": RANK,
        "lora_alpha": SCALE * RANK,
        "alpha_pattern": {"layers.1.self_attn.o_proj": 2 * SCALE * RANK},
        "rank_pattern": {},
        "use_rslora": False,
        "use_dora": is_dora,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": modules,
        "lora_dropout": 0.05,
        "inference_mode": True,
    }
    return config, stored


def make(name, adapter, seed):
    random = np.random.default_rng(seed)
    model, _ = load_model(FIXTURES / "models" / adapter["model"])
    config = mlx_config(adapter)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        write(scratch, config, {}, "adapters.safetensors")
        shaped = load_adapters(model, scratch)
        weights = random_tensors(shaped, adapter, random)
        write(scratch, config, weights, "adapters.safetensors")
        model, about = load_model(FIXTURES / "models" / adapter["model"])
        plain = np.array(model(mx.array([[1, 2, 3]])).astype(mx.float32))
        model = load_adapters(model, scratch)
        model.eval()
    changed = np.array(model(mx.array([[1, 2, 3]])).astype(mx.float32))
    assert np.abs(plain - changed).max() > 0.05, "the adapter changes nothing"

    prompt = random.integers(0, about["vocab_size"], PROMPT_LENGTH).tolist()
    steps = list(generate_step(mx.array(prompt), model, max_tokens=NEW_TOKENS))
    tops = [np.sort(np.array(logprobs.astype(mx.float32)))[-2:] for _, logprobs in steps]
    margin = float(min(top[1] - top[0] for top in tops))
    tokens = [token for token, _ in steps]
    if margin < (0.08 if "bfloat16" in adapter["model"] else 0.01) or len(set(tokens)) < 8:
        return False
    folder = FIXTURES / "adapters" / name
    shutil.rmtree(folder, ignore_errors=True)
    if adapter.get("peft"):
        stored_config, stored = to_peft(weights, adapter.get("type") == "dora")
        write(folder, stored_config, stored, "adapter_model.safetensors")
    else:
        write(folder, config, weights, "adapters.safetensors")
    logits = np.array(model(mx.array([prompt]))[0].astype(mx.float32))
    golden = {
        "model": adapter["model"],
        "madeWith": {name: version(name) for name in ("mlx-lm", "mlx")},
        "seed": seed,
        "prompt": prompt,
        "greedy": tokens,
        "logits": base64_of(logits[-1]),
    }
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    return True


def main():
    for name, adapter in ADAPTERS.items():
        if not (FIXTURES / "models" / adapter["model"]).exists():
            print(f"{name}: there is no {adapter['model']} yet")
            continue
        seed = next((seed for seed in range(100) if make(name, adapter, seed)), None)
        print(f"{name}: seed {seed}")


if __name__ == "__main__":
    main()
