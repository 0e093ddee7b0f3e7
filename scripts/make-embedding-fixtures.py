#!/usr/bin/env python3
"""Writes tiny random models that embed or rerank, and what sentence-transformers makes of them.

    python scripts/make-embedding-fixtures.py [NAME...]     writes test/fixtures/embedders/NAME/

Needs the packages of scripts/requirements-embedding-oracle.txt. Everything follows from the table
below and from seeds, so a run on the same versions writes the same files.
"""

import base64
import json
import math
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    Gemma3TextConfig,
    Gemma3TextModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    ModernBertModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

FOLDER = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "embedders"
VOCABULARY = 160
LONGEST = 48

TEXTS = [
    "A river runs past the mill.",
    "The bank lends money; its branch is small.",
    "Don't stop: 3.14, naïve café, Zürich! 東京",
    "bank",
    "",
    "the river and the mill and the bank and the branch lend a small river past the mill, "
    "don't they? the river does.",
    "small mills lend rivers",
]
QUERY = "Who lends money?"
DOCUMENTS = ["The bank lends money.", "A river runs past the mill and the branch.", "money"]

# ---- Tokenizers -----------------------------------------------------------------------------


def corpus():
    return [*TEXTS, QUERY, *DOCUMENTS, "query: ", "passage: "] * 4 + ["yes", "no"] * 40


def wordpiece(lowercase=True):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special)
    tokenizer.train_from_iterator(corpus(), trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    names = dict(unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LONGEST, **names,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def unigram():
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>"
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ids
    )
    names = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LONGEST, cls_token="<s>", sep_token="</s>",
        **names,
    )


def byte_level(special, single, pair=None, **names):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY + 160, special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in special]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=names.pop("longest", LONGEST), **names
    )


def roberta_tokenizer():
    made = byte_level(
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s> $A </s>", "<s> $A </s> </s> $B </s>",
        bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>", cls_token="<s>",
        sep_token="</s>", model_input_names=["input_ids", "attention_mask"],
    )
    made.backend_tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return made


def modernbert_tokenizer():
    return byte_level(
        ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]",
        unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        model_input_names=["input_ids", "attention_mask"],
    )


def qwen_tokenizer(longest=LONGEST):
    return byte_level(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"],
        "$A <|endoftext|>", "$A $B <|endoftext|>",
        eos_token="<|im_end|>", pad_token="<|endoftext|>", longest=longest,
        model_input_names=["input_ids", "attention_mask"],
    )


def gemma_tokenizer():
    return byte_level(
        ["<pad>", "<eos>", "<bos>", "<unk>"], "<bos> $A <eos>", "<bos> $A $B <eos>",
        bos_token="<bos>", eos_token="<eos>", pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )


# ---- Models ---------------------------------------------------------------------------------


def randomize(model, seed):
    """Values that keep activations near one, yet make attention peaked and every branch count."""
    random = np.random.default_rng(seed)
    is_gemma = model.config.model_type.startswith("gemma")
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            shape = list(parameter.shape)
            if name.endswith("bias"):
                values = random.normal(0, 0.3, shape)
            elif len(shape) == 1:
                centre = 0.0 if is_gemma else 1.0
                values = random.uniform(centre - 0.4, centre + 0.4, shape)
            elif "embed" in name:
                values = random.normal(0, 0.5, shape)
            else:
                values = random.normal(0, 1.8 / math.sqrt(shape[-1]), shape)
            parameter.copy_(torch.tensor(values, dtype=parameter.dtype))
    return model.eval()


BERT = dict(
    vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=48, max_position_embeddings=64, type_vocab_size=2,
)
XLM_ROBERTA = dict(
    BERT, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
    eos_token_id=2, layer_norm_eps=1e-5,
)
MODERNBERT = dict(
    vocab_size=VOCABULARY + 160, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
    intermediate_size=40, max_position_embeddings=64, local_attention=8, pad_token_id=3,
    bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2, num_labels=1,
    layer_types=["full_attention", "sliding_attention", "full_attention"],
)
QWEN3 = dict(
    vocab_size=VOCABULARY + 160, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, intermediate_size=48, max_position_embeddings=512,
    tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
)
GEMMA3 = dict(
    vocab_size=VOCABULARY + 160, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
    num_key_value_heads=1, head_dim=16, intermediate_size=48, max_position_embeddings=64,
    query_pre_attn_scalar=16, sliding_window=8, use_bidirectional_attention=True,
    layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    bos_token_id=2, eos_token_id=1, pad_token_id=0,
)
PROMPTS = {"query": "query: ", "passage": "passage: "}

# name → what makes the model, its tokenizer, and what follows its hidden states.
EMBEDDERS = {
    "bert": {
        "model": lambda: BertModel(BertConfig(**BERT)),
        "tokenizer": wordpiece,
        "pooling": "mean",
        "prompts": PROMPTS,
    },
    # Names below "bert.", with a head that served training; two kinds of pooling, then a layer.
    "bert-dense": {
        "model": lambda: BertForMaskedLM(BertConfig(**BERT)),
        "tokenizer": wordpiece,
        "pooling": ("cls", "max"),
        "dense": [(64, 24, True, torch.nn.Tanh())],
        "normalize": False,
    },
    "xlm-roberta": {
        "model": lambda: XLMRobertaModel(XLMRobertaConfig(**XLM_ROBERTA)),
        "tokenizer": unigram,
        "pooling": "cls",
    },
    "roberta": {
        "model": lambda: RobertaModel(RobertaConfig(**{**XLM_ROBERTA, "vocab_size": 320})),
        "tokenizer": roberta_tokenizer,
        "pooling": "mean",
    },
    "modernbert": {
        "model": lambda: ModernBertModel(ModernBertConfig(**MODERNBERT)),
        "tokenizer": modernbert_tokenizer,
        "pooling": ("weightedmean", "mean_sqrt_len_tokens"),
    },
    "qwen3-embedding": {
        "model": lambda: Qwen3Model(Qwen3Config(**QWEN3)),
        "tokenizer": qwen_tokenizer,
        "pooling": "lasttoken",
        "prompts": {"query": "Instruct: find passages\nQuery:", "document": ""},
    },
    "embeddinggemma": {
        "model": lambda: Gemma3TextModel(Gemma3TextConfig(**GEMMA3)),
        "tokenizer": gemma_tokenizer,
        "pooling": "mean",
        "dense": [(32, 40, False, torch.nn.Identity()), (40, 32, False, torch.nn.Identity())],
        "prompts": {"query": "task: search result | query: ", "document": "title: none | text: "},
    },
}

RERANKERS = {
    "bert-reranker": {
        "model": lambda: BertForSequenceClassification(BertConfig(**BERT, num_labels=1)),
        "tokenizer": wordpiece,
        "activation": torch.nn.Identity(),
    },
    "xlm-roberta-reranker": {
        "model": lambda: XLMRobertaForSequenceClassification(
            XLMRobertaConfig(**XLM_ROBERTA, num_labels=1)
        ),
        "tokenizer": unigram,
    },
    "modernbert-reranker": {
        "model": lambda: ModernBertForSequenceClassification(
            ModernBertConfig(**MODERNBERT, classifier_pooling="mean")
        ),
        "tokenizer": modernbert_tokenizer,
    },
}

# ---- Goldens --------------------------------------------------------------------------------


def base64_of(array):
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()


def write_golden(folder, name, golden):
    packages = ("sentence-transformers", "transformers", "torch")
    about = {"model": name, "madeWith": {package: version(package) for package in packages}}
    lines = [f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in {**about, **golden}.items()]
    (folder / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    (folder / "README.md").unlink(missing_ok=True)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{name}: {size >> 10} KB")


def save_base(folder, variant, seed=1):
    model = randomize(variant["model"](), seed)
    model.save_pretrained(folder)
    variant["tokenizer"]().save_pretrained(folder)


def make_embedder(name, variant):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as base:
        save_base(base, variant)
        transformer = Transformer(base)
        pooling = Pooling(transformer.get_embedding_dimension(), variant["pooling"])
        dense = [
            randomize_dense(Dense(inner, outer, bias=bias, activation_function=activation), place)
            for place, (inner, outer, bias, activation) in enumerate(variant.get("dense", []))
        ]
        normalize = [Normalize()] if variant.get("normalize", True) else []
        made = SentenceTransformer(
            modules=[transformer, pooling, *dense, *normalize], device="cpu",
            prompts=variant.get("prompts"),
        )
        made.save(str(folder), create_model_card=False)
        # sentence-transformers writes the encoder alone: the names of its publishers are kept.
        shutil.copy(Path(base) / "model.safetensors", folder / "model.safetensors")
    model = SentenceTransformer(str(folder), device="cpu")
    embed = lambda texts, **options: model.encode(texts, batch_size=3, **options)
    cases = [case(TEXTS, {}, embed(TEXTS))]
    if "prompts" in variant:
        # Not `encode_document`: it takes the empty prompt that is saved beside one for passages.
        document = "passage" if "passage" in variant["prompts"] else "document"
        for kind, prompt in {"query": "query", "document": document}.items():
            options = {"inputType": kind, "truncate": True}
            cases.append(case(TEXTS, options, embed(TEXTS, prompt_name=prompt)))
    cases.append(case(TEXTS[:2], {"prompt": "about "}, embed(TEXTS[:2], prompt="about ")))
    long = [" ".join(TEXTS), TEXTS[0]]
    cases.append(case(long, {"truncate": True}, embed(long)))
    write_golden(folder, name, {"cases": cases})


def randomize_dense(dense, seed):
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.copy_(torch.tensor(random.normal(0, 0.3, list(parameter.shape))))
    return dense


def case(texts, options, vectors):
    assert np.isfinite(vectors).all()
    spread = np.abs(vectors[0] - vectors[1]).max()
    assert spread > 0.01, f"all texts have about the same vector: {spread}"
    return {"texts": texts, "options": options, "vectors": base64_of(vectors)}


def make_reranker(name, variant):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as base:
        save_base(base, variant)
        made = CrossEncoder(base, device="cpu", activation_fn=variant.get("activation"))
        made.save_pretrained(str(folder), create_model_card=False)
    model = CrossEncoder(str(folder), device="cpu")
    scores_of = lambda documents: model.predict([(QUERY, document) for document in documents])
    long = [" ".join(DOCUMENTS * 4), DOCUMENTS[0]]
    cases = [
        {"query": QUERY, "documents": documents, "options": options, "scores": scores_of(documents).tolist()}
        for documents, options in [(DOCUMENTS, {}), (long, {"truncate": True})]
    ]
    write_golden(folder, name, {"cases": cases})


# ---- Qwen3 Reranker, as its model card computes it ------------------------------------------

PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


def make_qwen3_reranker():
    name = "qwen3-reranker"
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    variant = {"model": lambda: Qwen3ForCausalLM(Qwen3Config(**QWEN3)), "tokenizer": lambda: qwen_tokenizer(400)}
    save_base(folder, variant)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = [tokenizer.convert_tokens_to_ids(answer) for answer in ("yes", "no")]

    def score(instruction, document):
        body = f"<Instruct>: {instruction}\n<Query>: {QUERY}\n<Document>: {document}"
        parts = [tokenizer.encode(part, add_special_tokens=False) for part in (PREFIX, body, SUFFIX)]
        with torch.no_grad():
            logits = model(torch.tensor([sum(parts, [])])).logits[0, -1, ids]
        return torch.softmax(logits, 0)[0].item()

    cases = [
        {"query": QUERY, "documents": DOCUMENTS, "options": options,
         "scores": [score(options.get("instruction", INSTRUCTION), document) for document in DOCUMENTS]}
        for options in ({}, {"instruction": "Find rivers"})
    ]
    write_golden(folder, name, {"cases": cases})


def main():
    known = {name: lambda name=name: make_embedder(name, EMBEDDERS[name]) for name in EMBEDDERS}
    known |= {name: lambda name=name: make_reranker(name, RERANKERS[name]) for name in RERANKERS}
    known["qwen3-reranker"] = make_qwen3_reranker
    for name in sys.argv[1:] or known:
        known[name]()


if __name__ == "__main__":
    main()
