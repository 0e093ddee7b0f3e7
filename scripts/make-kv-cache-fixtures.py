#!/usr/bin/env python3
"""Writes what mlx-lm says with quantized and with limited caches: test/fixtures/kv-caches.json.

    python scripts/make-kv-cache-fixtures.py

Needs the packages of scripts/requirements-oracle.txt, and the models of make-tiny-model.py.
"""

import json
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model

FIXTURES = Path(__file__).resolve().parent.parent / "test" / "fixtures"
PROMPT_LENGTH, NEW_TOKENS = 40, 30

# The heads of these are 32 wide, as wide as the smallest group.
CASES = [
    {"model": "qwen3-wide", "kv_bits": 8},
    {"model": "qwen3-wide", "kv_bits": 4},
    {"model": "qwen3-wide", "kv_bits": 4, "quantized_kv_start": 50},
    {"model": "quantized-affine-4", "kv_bits": 8},
    {"model": "qwen3_5_moe", "kv_bits": 8},
    {"model": "qwen3-wide", "max_kv_size": 16},
    # A family whose caches mlx-lm makes itself is not limited there.
    {"model": "qwen2", "max_kv_size": 24},
    {"model": "mixtral", "max_kv_size": 45},
]


def greedy(model, prompt, **options):
    """Ids and the smallest lead of a best token over the second best."""
    ids, margins = [], []
    if "kv_bits" in options:
        options = {"kv_group_size": 32, "quantized_kv_start": 0, **options}
    steps = generate_step(mx.array(prompt), model, max_tokens=NEW_TOKENS, **options)
    for token, logprobs in steps:
        second, first = np.sort(np.array(logprobs.astype(mx.float32)))[-2:]
        ids.append(token)
        margins.append(float(first - second))
    return ids, min(margins)


def main():
    cases = []
    for seed, case in enumerate(CASES):
        model = load_model(FIXTURES / "models" / case["model"])[0]
        options = {name: value for name, value in case.items() if name != "model"}
        random = np.random.default_rng(seed)
        prompt = random.integers(1, 64, PROMPT_LENGTH).tolist()
        ids, margin = greedy(model, prompt, **options)
        plain, _ = greedy(model, prompt)
        cases.append({**case, "prompt": prompt, "greedy": ids, "smallestMargin": round(margin, 4), "differs": ids != plain})
        print(case, f"margin {margin:.4f}", "differs" if ids != plain else "")
    made_with = {name: version(name) for name in ("mlx-lm", "mlx")}
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    text = f'{{\n  "madeWith": {json.dumps(made_with)},\n  "cases": [\n{lines}\n  ]\n}}\n'
    (FIXTURES / "kv-caches.json").write_text(text)


main()
