"""What mlx-lm computes from a tiny Llama with every kind of rope scaling, for make-tiny-model.py.

Only the logits of the last position are kept: they depend on every rotation before. A dynamic base
grows with what has been read, so that its logits depend on the size of the chunks.
"""

import numpy as np
from mlx_lm.utils import load_model

from tiny_sampling import base64_of

CHUNKS = (50, 7, 1)
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 3,
    "beta_slow": 0.25,
}
# One factor for each of the 8 pairs of dimensions.
LONG_FACTORS = [1.0, 1.1, 1.3, 1.7, 2.5, 4.0, 7.0, 12.0]
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 8,
    "long_factor": LONG_FACTORS,
    "original_max_position_embeddings": 32,
}

# `rope_scaling`, and what else config.json says then.
ROPE_CASES = {
    "linear": {"rope_scaling": {"rope_type": "linear", "factor": 3.0}},
    "llama3": {
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
    "dynamic, from a length that the prompt passes": {
        "rope_scaling": {"rope_type": "dynamic", "factor": 3.0},
        "max_position_embeddings": 20,
    },
    "dynamic, in adjacent pairs": {
        "rope_scaling": {"rope_type": "dynamic", "factor": 3.0},
        "max_position_embeddings": 20,
        "rope_traditional": True,
    },
    "yarn": {"rope_scaling": YARN},
    "yarn with its defaults": {"rope_scaling": {"type": "yarn", "factor": 30.0}},
    "yarn with both factors of sharpness": {
        "rope_scaling": {**YARN, "mscale": 1.3, "mscale_all_dim": 0.4}
    },
    "yarn in adjacent pairs": {"rope_scaling": YARN, "rope_traditional": True},
    "longrope": {"rope_scaling": LONGROPE, "max_position_embeddings": 128},
    "longrope within its first length": {
        "rope_scaling": LONGROPE,
        "max_position_embeddings": 32,
    },
    "proportional": {
        "rope_scaling": {
            "rope_type": "proportional",
            "partial_rotary_factor": 0.5,
            "factor": 2.0,
        }
    },
}


def make_rope(folder, prompt, logits_of):
    plain = logits_of(load_model(folder)[0], prompt)[-1]
    cases = []
    for name, change in ROPE_CASES.items():
        model, _ = load_model(folder, model_config=change)
        last = [logits_of(model, prompt, size)[-1] for size in CHUNKS]
        moved = float(np.abs(last[0] - plain).max())
        assert moved > 0.5, f"rope {name} moves the logits by {moved} only"
        if change["rope_scaling"].get("rope_type") == "dynamic":
            grown = float(np.abs(last[0] - last[2]).max())
            assert grown > 0.5, f"rope {name} depends on the length by {grown} only"
        cases.append({"name": name, "config": change, "logits": base64_of(np.stack(last))})
    return {"prompt": prompt, "chunks": list(CHUNKS), "cases": cases}
