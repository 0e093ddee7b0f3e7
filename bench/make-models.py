"""Writes the random checkpoints of the benchmarks: python bench/make-models.py FOLDER

Small models made by mlx-lm from a fixed seed, each with the tokenizer of a test fixture.
"""

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

TOKENIZER = Path(__file__).parent.parent / "test" / "fixtures" / "tokenizers" / "llama3-like"


def llama(layers, width):
    return {
        "model_type": "llama",
        "num_hidden_layers": layers,
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_attention_heads": width // 32,
        "num_key_value_heads": width // 64,
        "head_dim": 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": 1024,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    }


def qwen3_moe(layers, width):
    return {
        **llama(layers, width),
        "model_type": "qwen3_moe",
        "num_experts": 16,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": width // 2,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
    }


def qwen3_5(layers, width):
    text = {
        **llama(layers, width),
        "model_type": "qwen3_5_text",
        "full_attention_interval": 4,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "linear_conv_kernel_dim": 4,
        "rope_parameters": {
            "type": "default",
            "mrope_section": [2, 1, 1],
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.25,
        },
    }
    return {"model_type": "qwen3_5", "text_config": text}


MODELS = {
    "llama-4x64": (llama(4, 64), mx.float32),
    "llama-6x128": (llama(6, 128), mx.float32),
    "llama-8x256": (llama(8, 256), mx.float32),
    "qwen3_moe-6x128": (qwen3_moe(6, 128), mx.float32),
    "qwen3_5-8x128": (qwen3_5(8, 128), mx.float32),
    "llama-12x1024": (llama(12, 1024), mx.bfloat16),
}

for name, (config, dtype) in MODELS.items():
    folder = Path(sys.argv[1]) / name
    if (folder / "config.json").exists():
        continue
    folder.mkdir(parents=True, exist_ok=True)
    module = import_module(f"mlx_lm.models.{config['model_type']}")
    mx.random.seed(0)
    model = module.Model(module.ModelArgs.from_dict(config))
    model.set_dtype(dtype)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    for file in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]:
        shutil.copy(TOKENIZER / file, folder)
    # Last: its presence says that the checkpoint is complete.
    (folder / "config.json").write_text(json.dumps(config, indent=2))
