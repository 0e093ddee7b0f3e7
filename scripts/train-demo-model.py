#!/usr/bin/env python3
"""Trains the built-in demo model and writes it, 8-bit quantized, in MLX format.

    python -m pip install -r scripts/requirements-oracle.txt
    python scripts/train-demo-model.py                    # trains, measures, writes models/demo
    python scripts/train-demo-model.py --resume           # goes on from the last checkpoint
    python scripts/train-demo-model.py --resume --steps 4200 --rate 0.012   # the second part of what made models/demo
    python scripts/train-demo-model.py --export-only      # writes the model from the last checkpoint
    python scripts/train-demo-model.py --measure-only     # measures models/demo with mlx-lm

Two things make training on a Linux CPU several times faster: a quick BLAS in place of the one in MLX's wheel (preload
OpenBLAS), and flushing denormal numbers to zero (preload any library built with -ffast-math), which the moments of tokens
that seldom occur become after some hundred steps.

All text comes from demo_conversations.py; nothing is downloaded. The text and its order depend on the seed alone.
"""

import argparse
import json
import random
import time
from bisect import bisect_left
from collections import Counter
from itertools import count
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm import generate, load
from mlx_lm.models import qwen3
from mlx_lm.utils import quantize_model, save_config, save_model
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from demo_conversations import conversation, held_out_questions, trained_questions, training_chunk

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = ROOT / "test" / "fixtures" / "demo-questions.json"
SEED = 7
MEASURE_SEED, WATCH_SEED = 2026, 1  # the fixed list, and another one to watch training with
TRAINED_CHUNKS = 40  # more chunks than a run of the default length takes
CONTEXT_LENGTH = 1024
VOCABULARY_SIZE = 1024
LENGTHS = [48, 64, 96, 160, 320]  # borders between the lengths that share a batch
END_OF_TEXT, START, END = SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "intermediate_size": 384,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "vocab_size": VOCABULARY_SIZE,
    "max_position_embeddings": CONTEXT_LENGTH,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "torch_dtype": "float32",
    "eos_token_id": SPECIAL_TOKENS.index(END),
    "pad_token_id": SPECIAL_TOKENS.index(END_OF_TEXT),
}

# Written with explicit whitespace control, so that every template engine gives the same text.
CHAT_TEMPLATE = """\
{%- set system = messages[0].content if messages and messages[0].role == 'system' else '' %}
{%- if system or tools %}
    {{- '<|im_start|>system\\n' + system }}
    {%- if tools %}
        {{- '\\n\\nTools:' if system else 'Tools:' }}
        {%- for tool in tools %}
            {{- '\\n' + tool | tojson }}
        {%- endfor %}
        {{- '\\nCall a tool with <tool_call>{"name": ..., "arguments": {...}}</tool_call>' }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role != 'system' or not loop.first %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if message.content %}
            {{- message.content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}
                {%- set function = call.function if call.function else call %}
                {{- '\\n' if message.content or not loop.first else '' }}
                {{- '<tool_call>{"name": "' + function.name + '", "arguments": ' }}
                {{- function.arguments if function.arguments is string else function.arguments | tojson }}
                {{- '}</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


# Tokenizer


def train_tokenizer():
    """Byte-level BPE over generated conversations, every digit its own token."""
    rng = random.Random(SEED)
    texts = (message["content"] for _ in range(60_000) for message in conversation(rng)[0])
    tokenizer = Tokenizer(models.BPE())
    words = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(words), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    roles = ["system\n", "user\n", "assistant\n", "tool\n"] * 20_000
    tokenizer.train_from_iterator([*texts, *roles], trainer)
    return tokenizer


def with_chat_template(tokenizer):
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END_OF_TEXT, chat_template=CHAT_TEMPLATE
    )


# Training data


class Encoder:
    """Turns conversations into token ids, and marks what the assistant says."""

    def __init__(self, tokenizer):
        self.tokenizer = with_chat_template(tokenizer)
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
        self.head = self.encode(f"{START}assistant\n")
        self.end = self.head[0] + 1
        self.equals = self.encode(" =")

    def __call__(self, messages, tools=None):
        text = self.tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
        ids = self.encode(text)[:CONTEXT_LENGTH]
        answer, inside, size = [False] * len(ids), False, len(self.head)
        for i, token in enumerate(ids):
            answer[i] = inside
            if token == self.end:
                inside = False
            elif ids[i - size + 1 : i + 1] == self.head:
                inside = True
        return ids, answer

    def drill(self, lines):
        """Bare sums, one a line, of which only the results are learned: many more of them than questions hold."""
        ids, answer = [], []
        for line in lines:
            before, result = (self.encode(part) for part in line.split(" =", 1))
            ids += before + self.equals + result
            # The first character of the result is the space after the sign, the last one the line break.
            answer += [False] * (len(before) + 1) + [True] * (len(result) - 1) + [False]
        return ids, answer


def padded(rows):
    """Rows of (ids, answer) as inputs (B, L) and the flat places and tokens to predict."""
    longest = max(len(ids) for ids, _ in rows)
    inputs = np.zeros((len(rows), longest), np.int32)
    places, targets = [], []
    for row, (ids, answer) in enumerate(rows):
        inputs[row, : len(ids)] = ids
        for i in np.flatnonzero(answer):
            places.append(row * longest + int(i) - 1)
            targets.append(ids[i])
    return mx.array(inputs), mx.array(places), mx.array(targets)


def batches(encoder, seed, tokens_per_batch):
    """Endless batches of conversations of about the same length, but of all kinds."""
    for number in count():
        conversations, drills, rng = training_chunk(seed, number)
        rows = [encoder(*item) for item in conversations] + [encoder.drill(lines) for lines in drills]
        # Only roughly sorted: batches of exactly one length would hold little but one kind of question.
        rng.shuffle(rows)
        rows.sort(key=lambda row: bisect_left(LENGTHS, len(row[0])))
        groups, group, longest = [], [], 0
        for row in rows:
            if group and (len(group) + 1) * max(longest, len(row[0])) > tokens_per_batch:
                groups.append(group)
                group, longest = [], 0
            group.append(row)
            longest = max(longest, len(row[0]))
        groups.append(group)
        rng.shuffle(groups)
        yield from groups


# Training


def logits_at(model, inputs, places):
    """Logits of the wanted places only: the head over the whole vocabulary is a third of the work."""
    hidden = model.model(inputs)
    return model.model.embed_tokens.as_linear(hidden.reshape(-1, hidden.shape[-1])[places])


def loss(model, inputs, places, targets):
    return nn.losses.cross_entropy(logits_at(model, inputs, places), targets, reduction="mean")


def make_optimizer(steps, rate):
    """Muon for the matrices, AdamW for embeddings and norms; after a warm-up the rate falls to zero in a line."""

    def schedule(peak):
        return lambda step: peak * mx.minimum((step + 1) / 50, 1 - step / steps)

    muon = optim.Muon(learning_rate=schedule(rate), weight_decay=0.01)
    adamw = optim.AdamW(learning_rate=schedule(rate / 5), betas=[0.9, 0.98], weight_decay=0.01)
    return optim.MultiOptimizer([muon, adamw], [lambda path, weight: weight.ndim == 2 and "embed" not in path])


def exact_answers(model, encoder, questions):
    """How many answers come out exactly, by kind: an answer is greedy-exact if each of its tokens is the likeliest."""
    rows = []
    for question in questions:
        messages = [*question["messages"], {"role": "assistant", "content": question["answer"]}]
        ids, answer = encoder(messages)
        last = max(i for i, inside in enumerate(answer) if not inside and i + 1 < len(answer) and answer[i + 1])
        rows.append((ids, [inside and i > last for i, inside in enumerate(answer)], question["kind"]))
    rows.sort(key=lambda row: len(row[0]))
    right = Counter()
    for start in range(0, len(rows), 64):
        part = rows[start : start + 64]
        inputs, places, targets = padded([row[:2] for row in part])
        exact = np.array(mx.argmax(logits_at(model, inputs, places), -1) == targets)
        at = 0
        for _, answer, kind in part:
            size = sum(answer)
            right[kind] += bool(exact[at : at + size].all())
            at += size
    return right


def report(right, questions):
    totals = Counter(question["kind"] for question in questions)
    parts = ", ".join(f"{kind} {right[kind]}/{total}" for kind, total in totals.items())
    return f"{sum(right.values())}/{len(questions)} right ({parts})"


def save_checkpoint(folder, model, optimizer, step):
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "weights.safetensors"), dict(tree_flatten(model.parameters())))
    mx.save_safetensors(str(folder / "optimizer.safetensors"), dict(tree_flatten(optimizer.state)))
    (folder / "step.json").write_text(json.dumps({"step": step}))


def load_checkpoint(folder, model, optimizer=None):
    model.load_weights(str(folder / "weights.safetensors"))
    if optimizer is not None:
        optimizer.init(model.trainable_parameters())
        optimizer.state = tree_unflatten(list(mx.load(str(folder / "optimizer.safetensors")).items()))
    return json.loads((folder / "step.json").read_text())["step"]


def train(model, encoder, options):
    optimizer = make_optimizer(options.steps, options.rate)
    first = load_checkpoint(options.checkpoint, model, optimizer) if options.resume else 0
    # Not the fixed list, so that nothing is tuned on it.
    questions = held_out_questions(WATCH_SEED, trained_questions(SEED, TRAINED_CHUNKS))
    step_gradient = nn.value_and_grad(model, loss)
    began, tokens, recent = time.time(), 0, []
    for step, group in enumerate(batches(encoder, SEED, options.batch_tokens)):
        if step < first:
            continue
        if step >= options.steps:
            break
        inputs, places, targets = padded(group)
        value, gradients = step_gradient(model, inputs, places, targets)
        gradients, _ = optim.clip_grad_norm(gradients, 1.0)
        optimizer.update(model, gradients)
        mx.eval(model.state, optimizer.state, value)
        tokens += inputs.size
        recent.append(value.item())
        if (step + 1) % 50 == 0:
            seconds = time.time() - began
            print(f"step {step + 1} loss {np.mean(recent):.4f} {tokens / seconds:.0f} tokens/s {seconds:.0f} s", flush=True)
            recent.clear()
        if (step + 1) % 250 == 0 or step + 1 == options.steps:
            save_checkpoint(options.checkpoint, model, optimizer, step + 1)
            print(report(exact_answers(model, encoder, questions), questions), flush=True)


# Writing and measuring


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def export(model, tokenizer, folder):
    """Writes the quantized model the way mlx-lm does, and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    quantized, config = quantize_model(model, dict(CONFIG), group_size=64, bits=8)
    save_model(folder, quantized)
    (folder / "model.safetensors.index.json").unlink()  # one file needs no index
    save_config(config, folder / "config.json")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END,
        "pad_token": END_OF_TEXT,
        "model_max_length": CONTEXT_LENGTH,
        "clean_up_tokenization_spaces": False,
    })  # fmt: skip
    write_json(folder / "generation_config.json", {
        "eos_token_id": CONFIG["eos_token_id"], "pad_token_id": CONFIG["pad_token_id"], "do_sample": False,
    })  # fmt: skip
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"wrote {folder}: {size / 1e6:.2f} MB")


def measure(folder):
    """Answers the fixed held-out questions with mlx-lm, greedily, and writes list and score."""
    model, tokenizer = load(str(folder))
    questions = held_out_questions(MEASURE_SEED, trained_questions(SEED, TRAINED_CHUNKS))
    right = Counter()
    for question in questions:
        prompt = tokenizer.apply_chat_template(question["messages"], add_generation_prompt=True)
        answer = generate(model, tokenizer, prompt, max_tokens=96).strip()
        right[question["kind"]] += answer == question["answer"]
        if answer != question["answer"]:
            print(f"{question['messages'][-1]['content']!r}: {answer!r} instead of {question['answer']!r}")
    print(report(right, questions))
    QUESTIONS.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("    " + json.dumps(question, ensure_ascii=False) for question in questions)
    QUESTIONS.write_text(
        '{\n  "about": "Held-out questions for the demo model, written by scripts/train-demo-model.py",\n'
        f'  "score": {{ "right": {sum(right.values())}, "of": {len(questions)}, "with": "mlx-lm, greedy" }},\n'
        f'  "questions": [\n{lines}\n  ]\n}}\n'
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2700)
    parser.add_argument("--batch-tokens", type=int, default=2560)
    parser.add_argument("--rate", type=float, default=0.008, help="peak learning rate of the matrices")
    parser.add_argument("--output", type=Path, default=ROOT / "models" / "demo")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / ".cache" / "demo-model")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--export-only", action="store_true")
    parser.add_argument("--measure-only", action="store_true")
    options = parser.parse_args()

    if not options.measure_only:
        mx.random.seed(SEED)
        tokenizer = train_tokenizer()
        model = qwen3.Model(qwen3.ModelArgs.from_dict(CONFIG))
        print(f"{sum(weight.size for _, weight in tree_flatten(model.parameters())) / 1e6:.2f} M parameters", flush=True)
        if options.export_only:
            load_checkpoint(options.checkpoint, model)
        else:
            train(model, Encoder(tokenizer), options)
        export(model, tokenizer, options.output)
    measure(options.output)


if __name__ == "__main__":
    main()
