"""Mixtures of experts: Qwen."""

from .qwen import QWEN3


def single_experts(names=None):
    """A `stored` with a tensor for each expert instead of stacks; `names` are those of the publisher."""

    def stored(weights):
        result = {}
        for name, value in weights.items():
            module, _, leaf = name.partition(".switch_mlp.")
            if not leaf:
                result[name] = value
                continue
            matrix, part = leaf.split(".")
            for index, expert in enumerate(value):
                stem = f"{module}.experts.{index}.{(names or {}).get(matrix, matrix)}"
                result[f"{stem}.{part}"] = expert
        return result

    return stored


QWEN3_MOE = {
    **QWEN3,
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "head_dim": 8,
    "intermediate_size": 16,
    "num_experts": 5,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "tie_word_embeddings": False,
}

VARIANTS = {
    "qwen3_moe": {
        "config": QWEN3_MOE,
        "matters": [{"rope_theta": 500.0}, {"norm_topk_prob": False}, {"num_experts_per_tok": 2}],
        "stored": single_experts(),
    },
    "qwen3_moe-mixed-layers": {
        # Layer 1 and 3 would be sparse, but layer 3 is named dense.
        "config": {
            **QWEN3_MOE,
            "hidden_size": 24,
            "num_hidden_layers": 4,
            "num_key_value_heads": 1,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [3],
            "norm_topk_prob": False,
            "tie_word_embeddings": True,
        },
        "matters": [{"norm_topk_prob": True}],
    },
    "qwen3_moe-quantized": {
        "config": {
            **QWEN3_MOE,
            "hidden_size": 64,
            "head_dim": 16,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
        },
        "dtype": "float16",
        "quantize": {"bits": 4, "group_size": 32},
    },
}
