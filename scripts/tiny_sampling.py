"""What mlx-lm samples from a tiny model, for make-tiny-model.py, and by hand how it does so."""

import base64
import math

import mlx.core as mx
import numpy as np
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.sample_utils import make_logits_processors, make_sampler
from mlx_lm.utils import load_model

SAMPLING_TOKENS = 40
TOP = 5
RANDOM_DRAWS = (
    "state = key(seed). Each draw is (state, use) = split(state). A sampled token takes one draw, "
    "with XTC two: first uniform(0, 1) of shape [], XTC acting unless it is above xtcProbability, "
    "then categorical over logprobs / temperature of shape [1, vocabulary], which MLX 0.32 does by "
    "one uniform(0, 1) against the cumulative probabilities in order of token id (other shapes "
    "and older MLX draw Gumbel noise instead). Greedy tokens and the prompt draw nothing."
)

# `sampling` has the names of NativeSampling (src/mlx/native-types.ts).
SAMPLING_CASES = {
    "temperature": {"temperature": 0.8},
    "a seed beyond 32 bits": {"temperature": 1.7, "seed": 3 * 2**32},
    "top-p": {"temperature": 1.0, "topP": 0.7},
    "top-k": {"temperature": 1.0, "topK": 5},
    "top-k of one": {"temperature": 1.0, "topK": 1},
    "min-p": {"temperature": 1.0, "minP": 0.1},
    "XTC": {
        "temperature": 1.0,
        "xtcProbability": 0.5,
        "xtcThreshold": 0.05,
        "xtcSpecialTokens": [3, 11, 40, 41, 42],
    },
    "all filters together": {
        "temperature": 1.3,
        "topP": 0.95,
        "minP": 0.02,
        "xtcProbability": 0.4,
        "xtcThreshold": 0.1,
        "topK": 12,
        "repetitionPenalty": 1.2,
        "presencePenalty": 0.3,
        "frequencyPenalty": 0.2,
        "penaltyContextSize": 30,
        "logitBias": [[7, 1.5], [9, -2.0]],
    },
    "repetition penalty": {"temperature": 0, "repetitionPenalty": 1.3},
    "repetition penalty over 8 tokens": {
        "temperature": 0,
        "repetitionPenalty": 1.5,
        "repetitionContextSize": 8,
    },
    "presence penalty over a window": {
        "temperature": 0,
        "presencePenalty": 1.5,
        "penaltyContextSize": 20,
    },
    "frequency penalty over a window": {
        "temperature": 0,
        "frequencyPenalty": 0.8,
        "penaltyContextSize": 12,
    },
    "presence penalty over the reply": {"temperature": 0, "presencePenalty": 2.0},
    "frequency penalty over the reply": {"temperature": 0, "frequencyPenalty": 0.7},
    "logit bias": {"temperature": 0, "logitBias": [[5, 2.0], [17, 1.5], [60, -100.0]]},
}


def mlx_lm_sampler(sampling):
    return make_sampler(
        temp=sampling["temperature"],
        top_p=sampling.get("topP", 0.0),
        min_p=sampling.get("minP", 0.0),
        top_k=sampling.get("topK", 0),
        xtc_probability=sampling.get("xtcProbability", 0.0),
        xtc_threshold=sampling.get("xtcThreshold", 0.1),
        xtc_special_tokens=sampling.get("xtcSpecialTokens"),
    )


def mlx_lm_processors(sampling, prompt_length):
    window = sampling.get("penaltyContextSize")
    processors = make_logits_processors(
        logit_bias=dict(sampling.get("logitBias", [])),
        repetition_penalty=sampling.get("repetitionPenalty"),
        repetition_context_size=sampling.get("repetitionContextSize", 20),
        presence_penalty=sampling.get("presencePenalty"),
        presence_context_size=window or 10_000,
        frequency_penalty=sampling.get("frequencyPenalty"),
        frequency_context_size=window or 10_000,
    )
    if window is None and ("presencePenalty" in sampling or "frequencyPenalty" in sampling):
        # mlx-lm always counts the prompt; OpenAI's meaning is mlx-lm's on the reply alone.
        return [
            lambda tokens, logits, each=each: each(tokens[prompt_length:], logits)
            for each in processors
        ]
    return processors


def generate_with_mlx_lm(model, prompt, sampling):
    """Ids, log-probabilities of the chosen and the best tokens at each step."""
    mx.random.seed(sampling["seed"])
    tokens, chosen, top_tokens, top_logprobs = [], [], [], []
    for token, logprobs in generate_step(
        mx.array(prompt),
        model,
        max_tokens=SAMPLING_TOKENS,
        sampler=mlx_lm_sampler(sampling),
        logits_processors=mlx_lm_processors(sampling, len(prompt)),
    ):
        logprobs = np.array(logprobs)
        best = np.argsort(-logprobs)[:TOP]
        tokens.append(token)
        chosen.append(logprobs[token])
        top_tokens.append(best.tolist())
        top_logprobs.append(logprobs[best])
    return tokens, np.array(chosen), top_tokens, np.array(top_logprobs)


def generate_by_hand(model, prompt, sampling):
    """The same in plain numpy, with MLX for the model and the random numbers only.

    Shows that RANDOM_DRAWS and the semantics of each option are all there is to it. Also returns
    how near another token came: the smallest lead in logits, or of a draw to the next token's range.
    """
    state = mx.random.key(sampling["seed"])

    def draw():
        nonlocal state
        state, use = mx.random.split(state)
        return use

    cache = make_prompt_cache(model)
    logits = np.array(model(mx.array(prompt)[None], cache=cache)[0, -1])
    reply, lead = [], math.inf
    while len(reply) < SAMPLING_TOKENS:
        logits = penalised(logits.copy(), prompt, reply, sampling)
        scores = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        if sampling["temperature"] > 0:
            scores = filtered(scores, sampling, draw) / sampling["temperature"]
            borders = np.cumsum(np.exp(scores - scores.max()))
            borders /= borders[-1]
            drawn = mx.random.uniform(0, 1, [1], key=draw()).item()
            lead = min(lead, np.abs(borders[:-1] - drawn).min())
            reply.append(int(np.searchsorted(borders, drawn, side="right")))
        else:
            best = np.sort(scores)
            lead = min(lead, best[-1] - best[-2])
            reply.append(int(scores.argmax()))
        logits = np.array(model(mx.array(reply[-1:])[None], cache=cache)[0, -1])
    return reply, float(lead)


def penalised(logits, prompt, reply, sampling):
    for token, bias in sampling.get("logitBias", []):
        logits[token] += bias
    everything = prompt + reply
    for token in set(everything[-sampling.get("repetitionContextSize", 20) :]):
        penalty = sampling.get("repetitionPenalty", 1.0)
        logits[token] = logits[token] * penalty if logits[token] < 0 else logits[token] / penalty
    window = sampling.get("penaltyContextSize")
    seen = everything[-window:] if window else reply
    for token in set(seen):
        logits[token] -= sampling.get("presencePenalty", 0.0)
        logits[token] -= sampling.get("frequencyPenalty", 0.0) * seen.count(token)
    return logits


def filtered(scores, sampling, draw):
    """top-p, min-p, XTC, top-k, in mlx-lm's order, on probabilities at temperature 1."""
    scores = scores.copy()
    if "topP" in sampling:
        order = np.argsort(-scores)
        above = np.cumsum(np.exp(scores[order])) - np.exp(scores[order])
        scores[order[above >= sampling["topP"] * np.exp(scores).sum()]] = -np.inf
    if "minP" in sampling:
        scores[scores < scores.max() + math.log(sampling["minP"])] = -np.inf
    if "xtcProbability" in sampling:
        probabilities = np.exp(scores) / np.exp(scores).sum()
        enough = probabilities > sampling["xtcThreshold"]
        lowest = probabilities[enough].min() if enough.any() else math.inf
        dropped = probabilities > lowest
        dropped[sampling.get("xtcSpecialTokens", [])] = False
        if mx.random.uniform(0, 1, [], key=draw()).item() <= sampling["xtcProbability"]:
            scores[dropped] = -np.inf
    if "topK" in sampling:
        scores[np.argsort(-scores)[sampling["topK"] :]] = -np.inf
    return scores


def make_sampling(folder):
    model, config = load_model(folder)
    prompt = np.random.default_rng(2).integers(0, config["vocab_size"], 24).tolist()
    cases = []
    for index, (name, case) in enumerate(SAMPLING_CASES.items()):
        # The first seed whose every choice is clear, so that another machine chooses alike.
        first = case.get("seed", 100 * index) + 1
        for seed in range(first, first + 100):
            sampling = {**case, "seed": seed}
            tokens, lead = generate_by_hand(model, prompt, sampling)
            if lead > 2e-4:
                break
        expected, chosen, top_tokens, top_logprobs = generate_with_mlx_lm(model, prompt, sampling)
        assert tokens == expected, f"{name}: by hand {tokens}, mlx-lm {expected}"
        assert len(set(tokens)) > 5 and lead > 2e-4, f"{name}: {lead} {tokens}"
        cases.append({
            "name": name,
            "sampling": sampling,
            "tokens": tokens,
            "logprobs": base64_of(chosen),
            "topTokens": top_tokens,
            "topLogprobs": base64_of(top_logprobs),
            "smallestLead": float(f"{lead:.2g}"),
        })
    return {"randomDraws": RANDOM_DRAWS, "prompt": prompt, "top": TOP, "cases": cases}


def base64_of(values):
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()
