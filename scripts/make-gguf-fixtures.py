#!/usr/bin/env python3
"""Writes test/fixtures/gguf: tiny GGUF files, and what Python makes of the same models.

    pip install -r scripts/requirements-oracle.txt
    python scripts/make-gguf-fixtures.py

The names of tensors, their packing and its undoing are those of the package gguf, which comes with
llama.cpp; NAME.json holds what mlx-lm computes from the same numbers in an MLX checkpoint, and what
Python's tokenizers make of texts with the same vocabulary.
"""

import importlib
import json
import sys
import tempfile
from pathlib import Path

import gguf
import mlx.core as mx
import numpy as np
from gguf import GGMLQuantizationType as Type
from mlx.utils import tree_flatten
from mlx_lm.utils import save_config
from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import generate_merges

sys.path.insert(0, str(Path(__file__).resolve().parent))
tiny = importlib.import_module("make-tiny-model")
TEXTS = importlib.import_module("make-tokenizer-fixtures").TEXTS

FIXTURES = Path(__file__).resolve().parent.parent / "test" / "fixtures"
FOLDER = FIXTURES / "gguf"
# The vocabularies are larger than those of other fixtures, so the goldens hold fewer rows.
tiny.PROMPT_LENGTH = 8
tiny.NEW_TOKENS = 20
# Scales of 16 bits move logits by up to a hundredth of the largest; greedy tokens must win clearly.
CLEAR = 0.015

BASE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}

# pre: the name that llama.cpp gives the tokenizer's way to split; types: by the end of a module's
# path, the first that fits; what has one axis is F32, as llama.cpp writes it.
FIXTURES_OF = {
    "llama-f32": {
        "arch": "llama",
        "tokenizer": "llama3-like",
        "pre": "llama-bpe",
        "config": {**BASE, "model_type": "llama", "hidden_size": 16, "rope_scaling": LLAMA3_SCALING},
        "types": {"": Type.F32},
        "dtype": "float32",
    },
    "llama-q4_0": {
        "arch": "llama",
        "tokenizer": "llama2-like",
        "pre": None,
        "config": {**BASE, "model_type": "llama", "tie_word_embeddings": False, "attention_bias": True},
        "types": {"lm_head": Type.Q8_0, "v_proj": Type.Q4_1, "down_proj": Type.Q5_1, "": Type.Q4_0},
        "dtype": "float16",
    },
    "llama-q4_k": {
        "arch": "llama",
        "tokenizer": "llama2-like",
        "pre": None,
        "config": {**BASE, "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 1,
                   "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32},
        "types": {"embed_tokens": Type.Q4_K, "q_proj": Type.Q4_K, "k_proj": Type.Q5_K,
                  "v_proj": Type.Q6_K, "gate_proj": Type.Q5_K, "up_proj": Type.Q4_K,
                  "": Type.Q5_0},
        "dtype": "float16",
    },
    "qwen2-bf16": {
        "arch": "qwen2",
        "tokenizer": "qwen-like",
        "pre": "qwen2",
        "config": {**BASE, "model_type": "qwen2"},
        "types": {"": Type.BF16},
        "dtype": "bfloat16",
    },
    "qwen3-q8_0": {
        "arch": "qwen3",
        "tokenizer": "qwen-like",
        "pre": "qwen2",
        "config": {**BASE, "model_type": "qwen3"},
        "types": {"": Type.Q8_0},
        "dtype": "float16",
    },
    "qwen3moe-q8_0": {
        "arch": "qwen3moe",
        "tokenizer": "smollm-like",
        "pre": "smollm",
        "config": {**BASE, **EXPERTS, "model_type": "qwen3_moe", "num_hidden_layers": 1},
        "types": {"mlp.gate": Type.F32, "": Type.Q8_0},
        "dtype": "float16",
        "equal": "float32",  # mlx-lm has dense experts on the CPU in no other type
    },
}
ARCHS = {arch: number for number, arch in gguf.MODEL_ARCH_NAMES.items()}

# ---- Weights --------------------------------------------------------------------------------


def random_blocks(random, kind, shape):
    """Packed rows of a type that the package cannot pack itself: random bits with fitting scales."""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (*shape[:-1], shape[-1] // 256, size), dtype=np.uint8)

    def put(at, value):
        blocks[..., at : at + 2] = np.frombuffer(np.float16(value).tobytes(), np.uint8)

    def set_scale(scale):
        if kind == Type.Q6_K:
            put(208, scale)
        else:
            put(0, scale)
            put(2, scale * (7.5 if kind == Type.Q4_K else 15.5))

    set_scale(0.01)
    rows = blocks.reshape(*shape[:-1], -1)
    wide = gguf.dequantize(rows, kind).std() / 0.01
    set_scale(1.8 / shape[-1] ** 0.5 / wide)
    return rows


def packed(random, name, value, types):
    """A tensor as the file has it, its type, and the numbers that it then stands for."""
    path = name.rpartition(".")[0]
    kind = Type.F32 if value.ndim == 1 else next(t for end, t in types.items() if path.endswith(end))
    if kind in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
        data = random_blocks(random, kind, value.shape)
    else:
        data = gguf.quantize(value, kind)
    numbers = gguf.dequantize(data, kind)
    if kind == Type.Q6_K:  # MLX has no groups of 16: 8 bits in groups of 32
        parts = mx.quantize(mx.array(numbers).astype(mx.float16), group_size=32, bits=8)
        numbers = np.array(mx.dequantize(*parts, group_size=32, bits=8).astype(mx.float32))
    return data, kind, numbers


def in_turns(data, heads):
    """Rows of queries and keys as llama.cpp rotates them: the halves of each head in turns."""
    return data.reshape(heads, 2, data.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(data.shape)


def write_weights(writer, folder, fixture, seed):
    """Writes the tensors into the GGUF file, and the numbers that they stand for as MLX's checkpoint.

    Returns the second row of each packed matrix.
    """
    random = np.random.default_rng(seed)
    config = fixture["config"]
    names = gguf.get_tensor_name_map(ARCHS[fixture["arch"]], config["num_hidden_layers"])
    dtype = getattr(mx, fixture.get("equal", fixture["dtype"]))
    equal, rows = {}, {}
    for name, shape in [(n, v.shape) for n, v in tree_flatten(tiny.build(config).parameters())]:
        value = tiny.random_weight(random, name, shape, config).astype(np.float32)
        data, kind, numbers = packed(random, name, value, fixture["types"])
        equal[name] = mx.array(numbers).astype(dtype)
        if kind not in (Type.F32, Type.BF16):
            rows[name] = tiny.base64_of(numbers.reshape(-1, numbers.shape[-1])[1])
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        part = name.split(".")[-2]
        if fixture["arch"] == "llama" and part in heads:
            data = in_turns(data, config[heads[part]])
        # The package knows the experts under the name of a stack.
        known = name.replace("switch_mlp", "experts")
        own = names.get_name(known, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(own, data, raw_dtype=kind)
    if "rope_scaling" in config:
        writer.add_tensor("rope_freqs.weight", rope_factors(config))
    tiny.write_shards(folder, equal, 1)
    save_config(dict(config), folder / "config.json")
    return rows


def rope_factors(config):
    """What Llama 3's scaling makes of each wavelength."""
    scaling = config["rope_scaling"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    old = scaling["original_max_position_embeddings"]
    exponents = np.arange(0, config["head_dim"], 2, dtype=np.float32) / config["head_dim"]
    wavelengths = 2 * np.pi * config["rope_theta"] ** exponents
    smooth = np.clip((old / wavelengths - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / scaling["factor"] + smooth)).astype(np.float32)


# ---- Metadata -------------------------------------------------------------------------------


def write_config(writer, config):
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if "num_experts" in config:
        writer.add_expert_count(config["num_experts"])
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])


def read_tokenizer(name):
    """tokenizer.json, tokenizer_config.json and the chat template, less what GGUF cannot say."""
    folder = FIXTURES / "tokenizers" / name
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    for token in tokenizer["added_tokens"]:
        token.update(lstrip=False, rstrip=False, single_word=False, normalized=False)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    template = folder / "chat_template.jinja"
    text = template.read_text() if template.exists() else config.get("chat_template")
    return tokenizer, config, text


def tokens_of(tokenizer):
    ids = dict(tokenizer["model"]["vocab"])
    types = dict.fromkeys(ids.values(), gguf.TokenType.NORMAL)
    for token in tokenizer["added_tokens"]:
        ids[token["content"]] = token["id"]
        special = token["special"]
        types[token["id"]] = gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED
    tokens = [token for token, _ in sorted(ids.items(), key=lambda item: item[1])]
    assert sorted(ids.values()) == list(range(len(tokens)))
    for token, number in ids.items():
        if token.startswith("<0x"):
            types[number] = gguf.TokenType.BYTE
        if token == "<unk>":
            types[number] = gguf.TokenType.UNKNOWN
    return tokens, [types[number] for number in range(len(tokens))]


def write_tokenizer(writer, fixture):
    """Writes the vocabulary; returns the tokenizer.json of the same."""
    tokenizer, config, template = read_tokenizer(fixture["tokenizer"])
    tokens, types = tokens_of(tokenizer)
    is_pieces = fixture["pre"] is None
    writer.add_tokenizer_model("llama" if is_pieces else "gpt2")
    if is_pieces:
        # A SentencePiece model has scores in the place of merges: the first is the best.
        scores = [-float(number) for number in range(len(tokens))]
        writer.add_token_scores(scores)
        normal = {t: n for n, t in enumerate(tokens) if types[n] == gguf.TokenType.NORMAL}
        merges = generate_merges(normal, {token: scores[n] for token, n in normal.items()})
        tokenizer["model"]["merges"] = [list(pair) for pair in merges]
    else:
        writer.add_tokenizer_pre(fixture["pre"])
        merges = tokenizer["model"]["merges"]
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    for kind in ("bos", "eos"):
        token = config.get(f"{kind}_token")
        content = token["content"] if isinstance(token, dict) else token
        if content is not None:
            getattr(writer, f"add_{kind}_token_id")(tokens.index(content))
    if template is not None:
        writer.add_chat_template(template)
    return tokenizer, len(tokens)


def tokenizer_golden(tokenizer):
    with_special = Tokenizer.from_str(json.dumps(tokenizer))
    cases = []
    for name, text in TEXTS.items():
        ids = with_special.encode(text, add_special_tokens=False).ids
        cases.append({
            "name": name,
            "text": text,
            "ids": ids,
            "idsWithSpecial": with_special.encode(text).ids,
            "decoded": with_special.decode(ids, skip_special_tokens=False),
        })
    return cases


# ---- Files ----------------------------------------------------------------------------------


def make(name):
    fixture = FIXTURES_OF[name]
    file = FOLDER / f"{name}.gguf"
    for seed in range(200):
        writer = gguf.GGUFWriter(file, fixture["arch"])
        tokenizer, vocab_size = write_tokenizer(writer, fixture)
        fixture["config"]["vocab_size"] = vocab_size
        write_config(writer, fixture["config"])
        with tempfile.TemporaryDirectory() as equal:
            rows = write_weights(writer, Path(equal), fixture, seed)
            golden = tiny.make_golden(Path(equal), fixture)
        if golden and (not rows or golden["smallestMargin"] > CLEAR * golden["largestLogit"]):
            break
    else:
        raise SystemExit(f"{name}: no seed gives a lively greedy reply")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    versions = {**tiny.versions(), "gguf": tiny.version("gguf")}
    about = {"madeWith": versions, "seed": seed, "dtype": fixture["dtype"]}
    cases = {"cases": tokenizer_golden(tokenizer), "tokenizer": fixture["tokenizer"]}
    tiny.write_json(FOLDER / f"{name}.json", {**about, **golden, "rows": rows, **cases})
    print(f"{name}: seed {seed}, margin {golden['smallestMargin']}, {file.stat().st_size >> 10} KB")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for wanted in sys.argv[1:] or FIXTURES_OF:
        make(wanted)
