"""mlx-lm's side of the benchmarks: answers requests on stdin, one JSON object a line, on stdout.

    {"folder": …, "prompt": [ids], "tokens": n}                   times generate_step, as mlx-lm itself does
    {"folder": …, "prompt": [ids], "tokens": n, "graph": true}    times only the building of each token's graph
    {"folder": …, "prompts": [[ids], …], "tokens": n}             times BatchGenerator with all of them at once
"""

import json
import sys
from functools import cache
from pathlib import Path
from time import perf_counter

import mlx.core as mx
from mlx_lm.generate import BatchGenerator, generate_step, generation_stream
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.sample_utils import make_sampler
from mlx_lm.utils import load_model


@cache
def model_of(folder: str):
    return load_model(Path(folder))[0]


def generate(model, prompt, count):
    """The prompt's clock stops at the first token, where the clock of the reply starts."""
    ids = []
    start = perf_counter()
    for token, _ in generate_step(mx.array(prompt), model, max_tokens=count):
        if not ids:
            first = perf_counter()
        ids.append(token)
        if len(ids) == count:
            active = mx.get_active_memory()
            break
    end = perf_counter()
    mx.synchronize(generation_stream)
    return {
        "promptMs": (first - start) * 1e3,
        "decodeMs": (end - first) * 1e3,
        "ids": ids,
        "activeBytes": active,
    }


def build_graphs(model, prompt, count):
    """The loop of generate_step with a clock around its inner step, which neither evaluates nor reads."""
    cache = make_prompt_cache(model)
    sampler = make_sampler(temp=0)
    building = 0.0

    def step(tokens):
        logits = model(tokens[None], cache=cache)[:, -1, :]
        logprobs = logits - mx.logsumexp(logits, keepdims=True)
        return sampler(logprobs), logprobs.squeeze(0)

    with mx.stream(generation_stream):
        token, logprobs = step(mx.array(prompt))
        mx.async_eval(token, logprobs)
        for _ in range(count - 1):
            start = perf_counter()
            next_token, next_logprobs = step(token)
            building += perf_counter() - start
            mx.async_eval(next_token, next_logprobs)
            token.item()
            token = next_token
        mx.synchronize(generation_stream)
    return {"graphMs": building * 1e3}


def generate_together(model, prompts, count):
    """The times at which each reply got its tokens, from the moment when all prompts were there."""
    ids = [[] for _ in prompts]
    times = [[] for _ in prompts]
    generator = BatchGenerator(model, max_tokens=count)
    start = perf_counter()
    place = {uid: row for row, uid in enumerate(generator.insert(prompts))}
    while any(len(row) < count for row in ids):
        for response in generator.next_generated():
            row = place[response.uid]
            ids[row].append(response.token)
            times[row].append((perf_counter() - start) * 1e3)
    generator.close()
    return {"times": times, "ids": ids}


for line in sys.stdin:
    request = json.loads(line)
    model = model_of(request["folder"])
    if "prompts" in request:
        result = generate_together(model, request["prompts"], request["tokens"])
    else:
        measure = build_graphs if request.get("graph") else generate
        result = measure(model, request["prompt"], request["tokens"])
    print(json.dumps(result), flush=True)
