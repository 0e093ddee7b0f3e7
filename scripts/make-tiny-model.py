#!/usr/bin/env python3
"""Writes tiny random checkpoints and what mlx-lm computes from them, as fixtures for the engine's tests.

    python scripts/make-tiny-model.py NAME...     writes test/fixtures/models/NAME/
    python scripts/make-tiny-model.py --all       writes every fixture
    python scripts/make-tiny-model.py --list      names them

Needs the packages of scripts/requirements-oracle.txt. Everything follows from the table in
tiny_models/ and from seeds, so a run on the same versions writes the same files.
"""

import argparse
import copy
import json
import math
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import _get_classes, load_model, quantize_model, save_config, save_model

from tiny_models import VARIANTS
from tiny_mtp import add_head
from tiny_rope import make_rope
from tiny_sampling import base64_of, make_sampling

FOLDER = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "models"
PROMPT_LENGTH = 50
NEW_TOKENS = 56

# How far two ways to compute the same logits may lie apart, and how clearly a greedy token must win.
TOLERANCES = {"float32": (1e-4, 0.01), "float16": (0.03, 0.03), "bfloat16": (0.2, 0.08)}

# ---- Checkpoints ----------------------------------------------------------------------------


def random_weight(random, name, shape, config):
    """Values that keep activations near one, yet make attention peaked and every branch count."""
    gemma = config["model_type"].startswith("gemma")
    if name.endswith("norm.weight"):
        centre = 0.0 if gemma else 1.0  # Gemma adds one
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            centre += 1.0
        if ".post_" in name and gemma:
            centre += 3.0
        return random.uniform(centre - 0.4, centre + 0.4, shape)
    if name.endswith(".bias"):
        return random.normal(0, 0.5, shape)
    if name.endswith("model.embed_tokens.weight"):
        return random.normal(0, 0.3 if gemma else 0.5, shape)
    return random.normal(0, 1.8 / math.sqrt(shape[-1]), shape)


def values_of(random, name, shape, variant):
    own = variant["weight"](random, name, shape) if "weight" in variant else None
    return random_weight(random, name, shape, variant["config"]) if own is None else own


def build(config):
    model_class, args_class = _get_classes(config)
    # A copy, because some classes complete the nested configuration that they are given.
    model = model_class(args_class.from_dict(copy.deepcopy(config)))
    if config["model_type"] in ("gemma3", "gemma3_text") and not config.get("untied"):
        # mlx-lm's Gemma 3 ties its head when the checkpoint has none.
        getattr(model, "language_model", model).sanitize({})
    return model


def write_checkpoint(folder, variant, seed, equal):
    """Writes config.json and the weights, the way mlx-lm writes them.

    Returns the folder that mlx-lm reads: this one, or `equal` if it cannot read this one.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    config = dict(variant["config"])
    dtype = getattr(mx, variant.get("dtype", "float32"))
    model = build(config)
    names = [(name, list(value.shape)) for name, value in tree_flatten(model.parameters())]
    names += variant.get("extra", {}).items()
    weights = {
        name: mx.array(values_of(random, name, shape, variant).astype(np.float32)).astype(dtype)
        for name, shape in names
    }
    config.pop("untied", None)
    if "quantize" in variant:
        model.update(tree_unflatten(list(weights.items())))
        model, config = quantize_model(
            model, config, **{"group_size": None, "bits": None, **variant["quantize"]}
        )
        if variant.get("unnamed"):
            quantization = config["quantization"]
            for path in [key for key, value in quantization.items() if isinstance(value, dict)]:
                del quantization[path]
        for path in variant.get("dense", []):
            config["quantization"][path] = False
        weights = dict(tree_flatten(model.parameters()))
    if "quantize" in variant and "stored" not in variant:
        save_model(folder, model)
        (folder / "model.safetensors.index.json").unlink()
    else:
        stored = variant.get("stored", lambda weights: weights)(weights)
        write_shards(folder, stored, variant.get("shards", 1))
    save_config({**config, **variant.get("stored_config", {})}, folder / "config.json")
    if "oracle" not in variant:
        return folder
    weights, config = variant["oracle"](weights, config)
    write_shards(equal, weights, 1)
    save_config(config, equal / "config.json")
    return equal


def write_shards(folder, weights, count):
    if count == 1:
        mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
        return
    weight_map = {}
    for index in range(count):
        file = f"model-{index + 1:05}-of-{count:05}.safetensors"
        # Every second tensor, so that both files serve each layer.
        names = list(weights)[index::count]
        mx.save_safetensors(
            str(folder / file), {name: weights[name] for name in names}, {"format": "mlx"}
        )
        weight_map.update({name: file for name in names})
    total = sum(weight.nbytes for weight in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


# ---- What mlx-lm computes -------------------------------------------------------------------


def logits_of(model, tokens, steps=None):
    """Logits at every position; with `steps`, fed through the cache that many tokens at a time."""
    if steps is None:
        parts = [model(mx.array(tokens)[None])]
    else:
        cache = make_prompt_cache(model)
        chunks = [tokens[start : start + steps] for start in range(0, len(tokens), steps)]
        parts = [model(mx.array(chunk)[None], cache=cache) for chunk in chunks]
    return np.array(mx.concatenate(parts, axis=1)[0].astype(mx.float32))


def greedy_of(model, prompt, **options):
    steps = generate_step(mx.array(prompt), model, max_tokens=NEW_TOKENS, **options)
    tokens, margins = [], []
    for token, logprobs in steps:
        top = np.sort(np.array(logprobs.astype(mx.float32)))
        tokens.append(token)
        margins.append(float(top[-1] - top[-2]))
    return tokens, min(margins)


def difference(first, second):
    return float(np.abs(first - second).max())


def make_golden(folder, variant):
    """The golden of the checkpoint in `folder`, or None if its greedy reply is too dull or too close."""
    model, config = load_model(folder)
    random = np.random.default_rng(1)
    vocab_size = config.get("vocab_size") or config["text_config"]["vocab_size"]
    prompt = random.integers(0, vocab_size, PROMPT_LENGTH).tolist()
    tokens, margin = greedy_of(model, prompt)
    tolerance, clear = TOLERANCES[variant.get("dtype", "float32")]
    if len(set(tokens)) < 12 or margin < clear:
        return None

    at_once = PROMPT_LENGTH + NEW_TOKENS if variant.get("cached") else None
    logits = logits_of(model, prompt, at_once)
    drift = max(difference(logits, logits_of(model, prompt, steps)) for steps in (1, 7, 50))
    assert drift < tolerance, f"mlx-lm's chunked logits differ by {drift}"
    assert greedy_of(model, prompt, prefill_step_size=7)[0] == tokens
    whole = logits_of(model, prompt + tokens, at_once)[PROMPT_LENGTH - 1 : -1]
    assert whole.argmax(-1).tolist() == tokens, "decoding differs from reading the whole text"
    for change in variant.get("matters", []):
        changed, _ = load_model(folder, model_config=copy.deepcopy(change))
        moved = difference(logits, logits_of(changed, prompt, at_once))
        assert moved > 0.05, f"{change} moves the logits by {moved} only"
    return {
        "prompt": prompt,
        "greedy": tokens,
        "smallestMargin": round(margin, 4),
        "stepByStepDifference": float(f"{drift:.2g}"),
        "largestLogit": round(float(np.abs(logits).max()), 3),
        "logits": base64_of(logits),
    }


def versions():
    return {name: version(name) for name in ("mlx-lm", "mlx")}


def write_json(path, value):
    """One line for each key, so that a list of ids stays one line."""
    lines = [f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def make(name):
    variant, folder = VARIANTS[name], FOLDER / name
    for seed in range(200):
        with tempfile.TemporaryDirectory() as equal:
            golden = make_golden(write_checkpoint(folder, variant, seed, Path(equal)), variant)
        if golden:
            break
    else:
        raise SystemExit(f"{name}: no seed gives a lively greedy reply")
    if variant.get("mtp"):
        golden["mtp"] = add_head(folder, variant, golden)
    dtype = variant.get("dtype", "float32")
    about = {"model": name, "madeWith": versions(), "seed": seed, "dtype": dtype}
    write_json(folder / "golden.json", {**about, **golden})
    if name == "llama":
        write_json(folder / "sampling.json", {**about, **make_sampling(folder)})
        rope = make_rope(folder, golden["prompt"], logits_of)
        write_json(folder / "rope.json", {**about, **rope})
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: seed {seed}, margin {golden['smallestMargin']}, drift "
          f"{golden['stepByStepDifference']}, {len(set(golden['greedy']))} tokens, {size >> 10} KB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true", help="every fixture")
    parser.add_argument("--list", action="store_true", help="print the names")
    options = parser.parse_args()
    if options.list:
        print("\n".join(VARIANTS))
    names = list(VARIANTS) if options.all else options.names
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        parser.error(f"no fixture named {', '.join(unknown)}; --list names them")
    for name in names:
        make(name)


if __name__ == "__main__":
    main()
