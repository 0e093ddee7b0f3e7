"""The same as load-process.mjs with mlx-lm: python bench/load-process.py MODEL-FOLDER"""

import json
import resource
import sys

import mlx.core as mx
from mlx_lm import load, stream_generate

model, tokenizer = load(sys.argv[1])
print("ready", flush=True)
messages = [{"role": "user", "content": "What is 7 + 5?"}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
for _ in stream_generate(model, tokenizer, prompt, max_tokens=16):
    pass
unit = 1 if sys.platform == "darwin" else 1024
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print(json.dumps({"process": most, "mlx": mx.get_peak_memory()}))
