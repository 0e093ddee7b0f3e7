"""Writes the random checkpoints of the benchmarks: python bench/make-models.py FOLDER

Small llamas in float32, made by mlx-lm from a fixed seed, each with the tokenizer of a test fixture.
"""

import json
import shutil
import sys
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.llama import Model, ModelArgs

TOKENIZER = Path(__file__).parent.parent / "test" / "fixtures" / "tokenizers" / "llama3-like"
SIZES = [(4, 64), (6, 128), (8, 256)]  # layers, width

for layers, width in SIZES:
    folder = Path(sys.argv[1]) / f"llama-{layers}x{width}"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
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
    mx.random.seed(0)
    weights = dict(tree_flatten(Model(ModelArgs.from_dict(config)).parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]:
        shutil.copy(TOKENIZER / name, folder)
    # Last: its presence says that the checkpoint is complete.
    (folder / "config.json").write_text(json.dumps(config, indent=2))
