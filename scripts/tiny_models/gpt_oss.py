"""gpt-oss."""

import mlx.core as mx

YARN = {
    "rope_type": "yarn",
    "factor": 8.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 16,
    "truncate": False,
}
GPT_OSS = {
    "model_type": "gpt_oss",
    "architectures": ["GptOssForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000.0,
    "rope_scaling": YARN,
    "sliding_window": 16,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}
MATTERS = [
    {"rope_scaling": None},
    {"rope_scaling": {**YARN, "factor": 4.0}},
    {"sliding_window": 17},
    {"num_experts_per_tok": 1},
]


def as_published(weights, store):
    """The experts as OpenAI names them; `store` gives the tensors of a matrix by the end of its name."""
    stored = {name: value for name, value in weights.items() if ".experts." not in name}
    for name in weights:
        if not name.endswith(".experts.gate_proj.weight"):
            continue
        path = name.removesuffix(".gate_proj.weight")
        for part, ending in [("weight", ""), ("bias", "_bias")]:
            gate, up, down = (weights[f"{path}.{m}_proj.{part}"] for m in ("gate", "up", "down"))
            # Rows of both in turns.
            gate_up = mx.stack([gate, up], axis=2).reshape(gate.shape[0], -1, *gate.shape[2:])
            for matrix, value in [("gate_up_proj", gate_up), ("down_proj", down)]:
                tensors = store(value) if part == "weight" else {ending: value}
                stored.update({f"{path}.{matrix}{end}": tensor for end, tensor in tensors.items()})
    return stored


def in_blocks(value):
    packed, scales = mx.quantize(value, mode="mxfp4")
    experts, rows, groups = scales.shape
    return {"_blocks": packed.view(mx.uint8).reshape(experts, rows, groups, 16), "_scales": scales}


def transposed(value):
    return {"": mx.contiguous(value.swapaxes(1, 2))}


def experts_predicate(path, module):
    """Experts as they were published, the rest in 8 bits: the usual checkpoint of mlx-community."""
    if ".experts." in path:
        return {"group_size": 32, "bits": 4, "mode": "mxfp4"}
    return {"group_size": 32, "bits": 8, "mode": "affine"}


VARIANTS = {
    "gpt_oss": {
        "config": {**GPT_OSS, "quantization_config": {"quant_method": "mxfp4"}},
        "dtype": "bfloat16",
        "matters": MATTERS,
        "stored": lambda weights: as_published(weights, in_blocks),
    },
    "gpt_oss-dense": {
        # mlx-lm reads no dense experts of the publisher.
        "config": {
            **GPT_OSS,
            "hidden_size": 24,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "layer_types": ["full_attention", "sliding_attention"],
        },
        "matters": MATTERS,
        "stored": lambda weights: as_published(weights, transposed),
        "oracle": lambda weights, config: (weights, config),
    },
    "gpt_oss-quantized": {
        "config": {
            **{key: value for key, value in GPT_OSS.items() if key != "layer_types"},
            "num_hidden_layers": 2,
        },
        "quantize": {"bits": 8, "group_size": 32, "quant_predicate": experts_predicate},
    },
}
