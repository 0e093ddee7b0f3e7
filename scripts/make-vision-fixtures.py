"""Writes a tiny checkpoint of Gemma 3 that sees, pictures, and what transformers makes of both.

    pip install -r scripts/requirements-vision.txt
    python scripts/make-vision-fixtures.py

The goldens of replies are those of transformers, whose Gemma 3 its publisher wrote, and not of mlx-
vlm 0.7.10, which differs from it where images are read: it lets every token of the prompt look at
every other one, in layers with a window, too, where only an image's tokens may look at later ones
of their image; its last norm of the tower has an epsilon of 1e-5, whatever the checkpoint says; and
it scales features by the root of the text model's width and by that root's inverse, which differ by
the rounding to bfloat16. With these rules instead of its own its logits are these to 2e-6. The
pixels are those of Pillow, by which mlx-vlm's processor goes as well.
"""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

FOLDER = Path(__file__).parent.parent / "test" / "fixtures" / "vision" / "gemma3"
MODEL = FOLDER / "model"
MARKS = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
IMAGE_MARKS = ["<start_of_image>", "<end_of_image>", "<image_soft_token>"]
SIZE = 28
TOKENS_PER_IMAGE = 4
TEMPLATE = """{{ bos_token }}{% for message in messages -%}
{%- set role = "model" if message.role == "assistant" else message.role -%}
{{ "<start_of_turn>" + role + "\\n" }}
{%- if message.content is string %}{{ message.content | trim }}{% else -%}
{%- for item in message.content -%}
{%- if item.type == "image" %}{{ "<start_of_image>" }}
{%- elif item.type == "text" %}{{ item.text | trim }}{% endif -%}
{%- endfor -%}
{%- endif %}{{ "<end_of_turn>\\n" }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ "<start_of_turn>model\\n" }}{% endif -%}
"""


def make_tokenizer() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {name: place for place, name in enumerate([*MARKS, *letters, *IMAGE_MARKS])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [*MARKS, *IMAGE_MARKS]
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in special])
    return tokenizer


def make_config(tokenizer: Tokenizer) -> dict:
    # The root of 16 is whole: elsewhere transformers and mlx-lm round it differently in float32.
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        # Shorter than an image with what is around it.
        "sliding_window": 6,
        "sliding_window_pattern": 3,
        "rope_local_base_freq": 100.0,
        "rope_theta": 10000.0,
        "max_position_embeddings": 512,
        "vocab_size": tokenizer.get_vocab_size(),
    }
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIZE,
        "patch_size": 7,
        "layer_norm_eps": 1e-3,
        "vision_use_head": False,
    }
    begin, end, image = (tokenizer.token_to_id(mark) for mark in IMAGE_MARKS)
    return {
        "model_type": "gemma3",
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": text,
        "vision_config": vision,
        "mm_tokens_per_image": TOKENS_PER_IMAGE,
        "boi_token_index": begin,
        "eoi_token_index": end,
        "image_token_index": image,
        "eos_token_id": [tokenizer.token_to_id("<end_of_turn>")],
        "pad_token_id": 0,
        "bos_token_id": 2,
        "torch_dtype": "float32",
    }


def make_model(config: dict) -> Gemma3ForConditionalGeneration:
    model = Gemma3ForConditionalGeneration._from_config(
        Gemma3Config(**config), attn_implementation="eager", dtype=torch.float32
    ).eval()
    random = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            spread = 0.3 if "norm" in name or name.endswith("bias") else 1.6 / weight.shape[-1] ** 0.5
            if "embed_tokens" in name:
                # Else a tied head would say again what it has read.
                spread = 0.1
            elif "position" in name:
                spread = 0.5
            weight.copy_(torch.randn(weight.shape, generator=random) * spread)
            if "layer_norm" in name and name.endswith("weight") or "post_layernorm.weight" in name:
                weight.add_(1.0)
    return model


def published(name: str) -> str:
    """The name of a tensor in the checkpoints of the Hub."""
    name = name.removeprefix("model.")
    if name.startswith("language_model."):
        return "language_model.model." + name.removeprefix("language_model.")
    if name.startswith("vision_tower.") and not name.startswith("vision_tower.vision_model."):
        return "vision_tower.vision_model." + name.removeprefix("vision_tower.")
    return name


def save_model(model: Gemma3ForConditionalGeneration, config: dict, tokenizer: Tokenizer) -> None:
    shutil.rmtree(MODEL, ignore_errors=True)
    MODEL.mkdir(parents=True)
    tensors = {
        published(name): tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(tensors, MODEL / "model.safetensors", {"format": "pt"})
    tokenizer.save(str(MODEL / "tokenizer.json"))
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "add_bos_token": True,
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
        "chat_template": TEMPLATE,
    }
    preprocessor = {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_pan_and_scan": None,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.4, 0.6],
        "image_processor_type": "Gemma3ImageProcessor",
        "image_seq_length": TOKENS_PER_IMAGE,
        "image_std": [0.5, 0.25, 0.3],
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": SIZE, "width": SIZE},
    }
    write_json(MODEL / "config.json", config)
    write_json(MODEL / "tokenizer_config.json", tokenizer_config)
    write_json(MODEL / "preprocessor_config.json", preprocessor)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def scene(width: int, height: int, seed: int, channels: int = 3) -> np.ndarray:
    """Waves of colour with some noise: neither flat nor mere noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(x / (3 + channel + seed % 3) + seed) + np.cos(y / (4 + channel))
        for channel in range(channels)
    ]
    noise = random.normal(0, 12, (height, width, channels))
    return np.clip(np.stack(waves, -1) * 60 + 128 + noise, 0, 255).astype(np.uint8)


def make_pictures() -> dict[str, bytes]:
    pictures = {}

    def save(name: str, image: Image.Image, **options: object) -> None:
        buffer = io.BytesIO()
        image.save(buffer, **options)
        pictures[name] = buffer.getvalue()

    wide = Image.fromarray(scene(61, 37, 1))
    save("wide.png", wide, format="PNG")
    save("tall.jpg", Image.fromarray(scene(23, 50, 2)), format="JPEG", quality=90)
    save("small.webp", Image.fromarray(scene(9, 12, 3)), format="WEBP", lossless=True)
    save("exact.png", Image.fromarray(scene(SIZE, SIZE, 4)), format="PNG")
    save("clear.png", Image.fromarray(scene(40, 30, 5, 4), "RGBA"), format="PNG")
    save("grey.png", Image.fromarray(scene(33, 30, 6, 1)[..., 0], "L"), format="PNG")
    deep = scene(20, 31, 7, 1)[..., 0].astype(np.uint16) * 256 + 77
    save("deep.png", Image.fromarray(deep), format="PNG")
    palette = Image.fromarray(scene(44, 29, 8)).quantize(16)
    save("palette.png", palette, format="PNG", transparency=3)
    frames = [Image.fromarray(scene(30, 30, seed)).quantize(32) for seed in (9, 10)]
    save("moving.gif", frames[0], format="GIF", save_all=True, append_images=frames[1:])
    inks = Image.fromarray(scene(36, 24, 11, 4), "CMYK")
    save("inks.jpg", inks, format="JPEG", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6
    save("turned.jpg", Image.fromarray(scene(48, 20, 12)), format="JPEG", quality=95, exif=turned)
    return pictures


def pixels_of(data: bytes, preprocessor: dict) -> np.ndarray:
    """As transformers' processor for Pillow does: (H, W, 3)."""
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode == "I;16":
        # Pillow itself would hold all brightness above 255 to be white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("RGB")
    names = ("do_convert_rgb", "image_mean", "image_std", "rescale_factor", "resample", "size")
    processor = Gemma3ImageProcessorPil(**{name: preprocessor[name] for name in names})
    values = processor(image, return_tensors="np")["pixel_values"][0]
    return np.ascontiguousarray(values.transpose(1, 2, 0), dtype=np.float32)


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()


def prompt_text(messages: list[dict]) -> str:
    from jinja2 import Environment

    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE)
    text = template.render(messages=messages, bos_token="<bos>", add_generation_prompt=True)
    begin, end, image = IMAGE_MARKS
    return text.replace(begin, f"\n\n{begin}{image * TOKENS_PER_IMAGE}{end}\n\n")


def user(*parts: str) -> dict:
    """A turn with pictures, by name, and a text at its end."""
    *images, text = parts
    return {
        "role": "user",
        "content": [{"type": "image", "image": name} for name in images]
        + [{"type": "text", "text": text}],
    }


CHATS = {
    "one": [user("wide.png", "What is it?")],
    "two": [user("wide.png", "tall.jpg", "Which?")],
    "second turn": [
        user("tall.jpg", "What?"),
        {"role": "assistant", "content": "A wave."},
        user("wide.png", "And now?"),
    ],
    "text": [user("Hello there.")],
}
REPLY = 12
# An image has as many tokens, so that one of each is among these.
LOGITS_STEP = TOKENS_PER_IMAGE


def answer(model, tokenizer: Tokenizer, pixels: dict, messages: list[dict]) -> dict:
    tokens = tokenizer.encode(prompt_text(messages), add_special_tokens=False).ids
    names = [
        part["image"]
        for message in messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image"
    ]
    image_token = tokenizer.token_to_id(IMAGE_MARKS[2])
    inputs = {"input_ids": torch.tensor([tokens])}
    inputs["token_type_ids"] = (inputs["input_ids"] == image_token).int()
    if names:
        stacked = np.stack([pixels[name].transpose(2, 0, 1) for name in names])
        inputs["pixel_values"] = torch.from_numpy(stacked)
    with torch.no_grad():
        logits = model(**inputs).logits[0].numpy()
        ids = model.generate(
            **inputs, max_new_tokens=REPLY, min_new_tokens=REPLY, do_sample=False, eos_token_id=None
        )
    return {
        "messages": messages,
        "tokens": tokens,
        "images": names,
        "logits": encoded(logits[::LOGITS_STEP]),
        "greedy": ids[0, len(tokens) :].tolist(),
    }


def main() -> None:
    tokenizer = make_tokenizer()
    config = make_config(tokenizer)
    model = make_model(config)
    save_model(model, config, tokenizer)
    preprocessor = json.loads((MODEL / "preprocessor_config.json").read_text())
    pictures = make_pictures()
    for name, data in pictures.items():
        (FOLDER / name).write_bytes(data)
    pixels = {name: pixels_of(data, preprocessor) for name, data in pictures.items()}
    golden = {
        "pixels": {name: encoded(values) for name, values in pixels.items()},
        "chats": {
            name: answer(model, tokenizer, pixels, messages) for name, messages in CHATS.items()
        },
    }
    write_json(FOLDER / "golden.json", golden)


if __name__ == "__main__":
    main()
