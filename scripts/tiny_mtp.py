"""Heads for multi-token prediction, for make-tiny-model.py: trained until they know one text by heart.

mlx-lm ignores such heads. This follows what was published of them, https://arxiv.org/abs/2412.19437
(2.2), with mlx-lm's own decoder layers, and without a cache: whoever computes them otherwise guesses
otherwise, and is right less often.
"""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.optimizers import Adam
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models import deepseek_v3, glm4_moe, glm4_moe_lite, qwen3_5, qwen3_next
from mlx_lm.utils import load_model

STEPS = 160
MOST_DRAFTS = (1, 3)


class Head(nn.Module):
    """`names` are those of the norms of the embedding and of the hidden state, the projection and the
    last norm; `returns_normed` says whether the last norm is part of what is guessed from again."""

    def __init__(self, block, dims, eps, names, returns_normed):
        super().__init__()
        self.block = block
        self.embedding_norm = nn.RMSNorm(dims, eps)
        self.hidden_norm = nn.RMSNorm(dims, eps)
        self.projection = nn.Linear(2 * dims, dims, bias=False)
        self.norm = nn.RMSNorm(dims, eps)
        self._names = names
        self._returns_normed = returns_normed

    def inputs(self, hidden, embeddings):
        both = [self.embedding_norm(embeddings), self.hidden_norm(hidden)]
        return self.projection(mx.concatenate(both, axis=-1))

    def __call__(self, inputs):
        length = inputs.shape[1]
        hidden = self.block(inputs, mask=mx.tril(mx.ones((length, length), dtype=mx.bool_)))
        return self.norm(hidden) if self._returns_normed else hidden

    def before_logits(self, hidden):
        return hidden if self._returns_normed else self.norm(hidden)

    def published(self, stored):
        """Its tensors by the names of the checkpoint."""
        tensors = {}
        for name, value in tree_flatten(self.parameters()):
            module, _, rest = name.partition(".")
            tensors[f"{self._names[module]}.{rest}"] = value
        return stored(tensors)


def make_head(model, config):
    args = getattr(model, "language_model", model).args
    kind = config["model_type"]
    layer = args.num_hidden_layers
    if kind in ("qwen3_5", "qwen3_5_moe", "qwen3_next"):
        module = qwen3_next.Qwen3NextDecoderLayer if kind == "qwen3_next" else qwen3_5.DecoderLayer
        block = module(args, args.full_attention_interval - 1)
        path = "mtp" if kind == "qwen3_next" else "language_model.mtp"
        names = {
            "block": f"{path}.layers.0",
            "embedding_norm": f"{path}.pre_fc_norm_embedding",
            "hidden_norm": f"{path}.pre_fc_norm_hidden",
            "projection": f"{path}.fc",
            "norm": f"{path}.norm",
        }
        return Head(block, args.hidden_size, args.rms_norm_eps, names, True)
    block = {
        "deepseek_v3": lambda: deepseek_v3.DeepseekV3DecoderLayer(args, layer),
        "glm4_moe": lambda: glm4_moe.DecoderLayer(args, layer),
        "glm4_moe_lite": lambda: glm4_moe_lite.Glm4MoeLiteDecoderLayer(args, layer),
    }[kind]()
    path = f"model.layers.{layer}"
    names = {
        "block": path,
        "embedding_norm": f"{path}.enorm",
        "hidden_norm": f"{path}.hnorm",
        "projection": f"{path}.eh_proj",
        "norm": f"{path}.shared_head.norm",
    }
    return Head(block, args.hidden_size, args.rms_norm_eps, names, False)


class Reader:
    """What the main model gives its head of one text."""

    def __init__(self, model, text):
        whole = getattr(model, "language_model", model)
        self.embed = whole.model.embed_tokens
        self.to_logits = getattr(whole, "lm_head", None) or self.embed.as_linear
        self.text = mx.array(text)
        self.hidden = whole.model(self.text[None])  # (1, n, D)

    def pairs(self, head, count):
        """What the head reads of the first hidden states, each with the token that follows."""
        return head.inputs(self.hidden[:, :count], self.embed(self.text[None, 1 : count + 1]))


def train(head, reader, first):
    """Teaches it the tokens from the place `first` on, and those behind its own first guesses."""
    count = len(reader.text) - 1
    places = mx.arange(first - 2, count - 1)
    deeper = places[:-1]
    rows = mx.arange(len(deeper))

    def loss(head):
        pairs = reader.pairs(head, count)
        hidden = head(pairs)
        logits = reader.to_logits(head.before_logits(hidden[0, places]))
        near = nn.losses.cross_entropy(logits, reader.text[places + 2], reduction="mean")
        # For each place a text of its own, in which the head goes on from what it has just thought.
        own = head.inputs(hidden[0, deeper], reader.embed(reader.text[deeper + 2]))
        texts = mx.repeat(pairs, len(deeper), axis=0)
        texts[rows, deeper + 1] = own
        hidden = head(texts)[rows, deeper + 1]
        logits = reader.to_logits(head.before_logits(hidden))
        far = nn.losses.cross_entropy(logits, reader.text[deeper + 3], reduction="mean")
        return near + far

    step = nn.value_and_grad(head, loss)
    for index in range(STEPS):
        optimizer = optimizer if index else Adam(learning_rate=0.01)
        value, gradients = step(head)
        optimizer.update(head, gradients)
        mx.eval(head.parameters(), optimizer.state)
    return value.item()


def drafts_of(head, reader, length, count):
    """The tokens that the head guesses behind the first `length` ones of the text."""
    inputs = reader.pairs(head, length - 1)
    drafts = []
    for _ in range(count):
        hidden = head(inputs)[:, -1:]
        logits = reader.to_logits(head.before_logits(hidden))[0, 0]
        drafts.append(mx.argmax(logits).item())
        own = head.inputs(hidden, reader.embed(mx.array([[drafts[-1]]])))
        inputs = mx.concatenate([inputs, own], axis=1)
    return drafts


def speculate(head, reader, first, most):
    """How many tokens are drafted of the reply from `first` on, and how many of these accepted, where
    one more is drafted after each time that all were right, up to `most`."""
    text = reader.text.tolist()
    drafted = accepted = 0
    place, count = first, 1
    while (room := len(text) - place - 1) > 0:
        drafts = drafts_of(head, reader, place, min(count, room))
        right = 0
        while right < len(drafts) and drafts[right] == text[place + right]:
            right += 1
        drafted += len(drafts)
        accepted += right
        count = min(len(drafts) + 1, most) if right == len(drafts) else max(1, right)
        place += right + 1
    return {"most": most, "drafted": drafted, "accepted": accepted}


def initial(random, name, value):
    if name.endswith("norm.weight"):
        # Of both signs, so that no guess is right without it.
        return random.uniform(0.6, 1.6, value.shape) * random.choice([-1, 1], value.shape)
    return random.normal(0, value.shape[-1] ** -0.5, value.shape)


def add_head(folder, variant, golden):
    """Trains a head for the checkpoint in `folder`, adds it there, and tells what it guesses."""
    model, config = load_model(folder)
    model.freeze()
    reader = Reader(model, golden["prompt"] + golden["greedy"])
    head = make_head(model, config)
    random = np.random.default_rng(2)
    weights = [
        (name, mx.array(initial(random, name, value).astype(np.float32)))
        for name, value in tree_flatten(head.parameters())
    ]
    head.update(tree_unflatten(weights))
    first = len(golden["prompt"])
    loss = train(head, reader, first)
    guesses = [speculate(head, reader, first, most) for most in MOST_DRAFTS]
    print(f"{folder.name}: loss {loss:.2g}, {guesses}")
    file = str(folder / "model.safetensors")
    tensors = {**mx.load(file), **head.published(variant.get("stored", lambda tensors: tensors))}
    mx.save_safetensors(file, tensors, {"format": "mlx"})
    return guesses
