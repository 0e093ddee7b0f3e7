"""Lets mlx-lm go on from prompt-cache files: a list of cases on stdin, their tokens on stdout."""

import json
import sys

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import load_prompt_cache
from mlx_lm.utils import load_model
from pathlib import Path

replies = []
for case in json.load(sys.stdin):
    model, _ = load_model(Path(case["model"]))
    steps = generate_step(
        mx.array(case["prompt"]),
        model,
        max_tokens=case["count"],
        prompt_cache=load_prompt_cache(case["file"]),
        **case["options"],
    )
    replies.append([token for token, _ in steps])
print(json.dumps(replies))
