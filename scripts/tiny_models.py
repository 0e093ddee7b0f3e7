"""The tiny models that make-tiny-model.py writes: a row each in VARIANTS."""

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}
QWEN2 = {
    **{key: value for key, value in LLAMA.items() if key != "head_dim"},
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}
QWEN3 = {
    **LLAMA,
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}
GEMMA3 = {
    "model_type": "gemma3_text",
    "architectures": ["Gemma3ForCausalLM"],
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 100.0,
    "query_pre_attn_scalar": 24,
    "sliding_window": 16,
    "sliding_window_pattern": 3,
    "max_position_embeddings": 256,
}
# Every width a multiple of 64, or of 128, so that groups of that size fit.
WIDE = {**LLAMA, "hidden_size": 64, "intermediate_size": 64}
WIDE_QWEN2 = {**QWEN2, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
WIDER = {**LLAMA, "hidden_size": 128, "intermediate_size": 128, "head_dim": 32}

LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# Two of three layers look back 16 tokens; the full one is not the first.
MISTRAL_LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]


def mixed_predicate(path, module):
    """Another width here, another mode there, two layers dense."""
    if path == "model.embed_tokens":
        return {"group_size": 32, "bits": 8, "mode": "affine"}
    if path.endswith("layers.0.self_attn.v_proj"):
        return {"group_size": 64, "bits": 6, "mode": "affine"}
    if path.endswith("layers.1.mlp.up_proj"):
        return {"group_size": 32, "bits": 4, "mode": "mxfp4"}
    return not path.endswith(("layers.0.mlp.down_proj", "layers.1.self_attn.o_proj"))


def unnamed_predicate(path, module):
    if path.endswith(("lm_head", "v_proj")):
        return {"group_size": 32, "bits": 8, "mode": "affine"}
    return True


# A fixture is a `config` and optionally:
#   dtype      of the checkpoint, float32 unless told
#   matters    changes to the configuration that must change the logits, else the fixture proves nothing
#   shards     number of weight files
#   extra      tensors that such checkpoints carry and nobody uses, name → shape
#   quantize   arguments of mlx_lm's quantize_model
#   dense      module paths written as `false` in the quantization of config.json
#   unnamed    True: drop the per-layer entries from config.json, so that only the tensors tell
VARIANTS = {
    "llama": {
        "config": LLAMA,
        "matters": [{"rope_theta": 500.0}, {"rope_traditional": True}, {"rms_norm_eps": 0.1}],
    },
    "llama-rope-llama3": {
        "config": {**LLAMA, "rope_scaling": LLAMA3_SCALING, "tie_word_embeddings": True},
        "matters": [
            {"rope_scaling": None},
            {"rope_scaling": {**LLAMA3_SCALING, "low_freq_factor": 2.0}},
            {"rope_scaling": {**LLAMA3_SCALING, "high_freq_factor": 8.0}},
        ],
        "extra": {"lm_head.weight": [80, 32]},
    },
    "llama-rope-linear": {
        # Without head_dim and num_key_value_heads, as older checkpoints are.
        "config": {
            **{k: v for k, v in LLAMA.items() if k not in ("head_dim", "num_key_value_heads")},
            "rope_scaling": {"type": "linear", "factor": 4.0},
        },
        "matters": [{"rope_scaling": None}],
        "extra": {"model.layers.0.self_attn.rotary_emb.inv_freq": [4]},
    },
    "llama-bias": {
        "config": {**LLAMA, "attention_bias": True, "mlp_bias": True, "rope_traditional": True},
        "matters": [{"rope_traditional": False}],
    },
    "llama-sharded": {"config": LLAMA, "shards": 2},
    "llama-bfloat16": {"config": LLAMA, "dtype": "bfloat16"},
    "llama-float16": {"config": LLAMA, "dtype": "float16"},
    "mistral": {
        "config": {
            **LLAMA,
            "model_type": "mistral",
            "architectures": ["MistralForCausalLM"],
            "num_hidden_layers": 3,
            "head_dim": 24,
            "sliding_window": 16,
            "layer_types": MISTRAL_LAYERS,
        },
        "matters": [{"sliding_window": 17}, {"layer_types": ["full_attention"] * 3}],
    },
    "qwen2": {"config": QWEN2, "matters": [{"rope_theta": 500.0}]},
    "qwen3": {"config": QWEN3, "matters": [{"rope_theta": 500.0}]},
    "qwen3-untied": {
        # rope_theta nested, as transformers 5 writes it.
        "config": {
            **{key: value for key, value in QWEN3.items() if key != "rope_theta"},
            "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"},
            "tie_word_embeddings": False,
        },
        "matters": [{"rope_parameters": {"rope_theta": 500.0}}],
    },
    "qwen3-bfloat16": {"config": QWEN3, "dtype": "bfloat16"},
    "gemma3_text": {
        "config": {**GEMMA3, "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        "matters": [
            {"rope_scaling": None},
            {"rope_theta": 500.0},
            {"rope_local_base_freq": 10000.0},
            {"query_pre_attn_scalar": 16},
            {"sliding_window": 17},
            {"sliding_window": 512},
            {"sliding_window_pattern": 2},
        ],
    },
    "gemma3_text-untied": {
        "config": {**GEMMA3, "num_hidden_layers": 2, "sliding_window_pattern": 2, "untied": True},
        "matters": [{"sliding_window": 17}],
    },
    "gemma3_text-bfloat16": {
        "config": {**GEMMA3, "num_hidden_layers": 3},
        "dtype": "bfloat16",
    },
    "quantized-affine-2": {"config": WIDE, "quantize": {"bits": 2, "group_size": 32}},
    "quantized-affine-3": {"config": WIDE, "quantize": {"bits": 3, "group_size": 64}},
    "quantized-affine-4": {"config": WIDER, "quantize": {"bits": 4, "group_size": 128}},
    "quantized-affine-5": {"config": WIDE, "quantize": {"bits": 5, "group_size": 32}},
    "quantized-affine-6": {"config": WIDE, "quantize": {"bits": 6, "group_size": 64}},
    "quantized-affine-8": {"config": WIDE_QWEN2, "quantize": {"bits": 8, "group_size": 32}},
    "quantized-mxfp4": {"config": WIDE, "quantize": {"mode": "mxfp4"}},
    "quantized-mxfp8": {"config": WIDE_QWEN2, "quantize": {"mode": "mxfp8"}},
    "quantized-nvfp4": {"config": WIDE, "quantize": {"mode": "nvfp4"}},
    "quantized-mixed": {
        "config": {**WIDE, "tie_word_embeddings": True},
        "quantize": {"bits": 4, "group_size": 64, "quant_predicate": mixed_predicate},
        "dense": ["model.layers.0.mlp.down_proj"],
    },
    "quantized-unnamed": {
        "config": WIDE,
        "quantize": {"bits": 4, "group_size": 64, "quant_predicate": unnamed_predicate},
        "unnamed": True,
    },
    "quantized-bfloat16": {
        "config": {**QWEN3, "hidden_size": 64, "intermediate_size": 64},
        "dtype": "bfloat16",
        "quantize": {"bits": 4, "group_size": 64},
    },
}
