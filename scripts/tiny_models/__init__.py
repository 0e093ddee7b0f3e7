"""The tiny models that make-tiny-model.py writes: a file for each family, with a row each in VARIANTS.

A fixture is a `config` and optionally:
  dtype      of the checkpoint, float32 unless told
  matters    changes to the configuration that must change the logits, else the fixture proves nothing
  shards     number of weight files
  extra      tensors that such checkpoints carry and nobody uses, name → shape
  quantize   arguments of mlx_lm's quantize_model
  dense      module paths written as `false` in the quantization of config.json
  unnamed    True: drop the per-layer entries from config.json, so that only the tensors tell
  cached     True: also the logits of a whole text come through a cache, because without one mlx-lm
             computes something else
  weight     function(random, name, shape) → values of a tensor, or None for those of any other model
  stored     function(weights by name) → the same as the checkpoint's own publisher names and lays
             them out, where mlx-lm's sanitize makes the names of its model of them
  stored_config  what else config.json holds
  mtp        True: with a trained head for multi-token prediction
  oracle     function(weights by name, config) → both of an equal checkpoint, where mlx-lm cannot read
             the stored one
"""

import importlib
import pkgutil

VARIANTS = {}
for module in pkgutil.iter_modules(__path__):
    VARIANTS.update(importlib.import_module(f"{__name__}.{module.name}").VARIANTS)
