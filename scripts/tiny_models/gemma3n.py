"""Gemma 3n."""

TEXT = {
    "model_type": "gemma3n_text",
    "vocab_size": 80,
    "vocab_size_per_layer_input": 60,  # as released: fewer than there are tokens
    "hidden_size": 16,
    "intermediate_size": [24, 16, 24, 16],
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "hidden_size_per_layer_input": 4,
    "num_kv_shared_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "sliding_window": 16,
    "activation_sparsity_pattern": [0.75, 0.0, 0.75, 0.0],
    "altup_num_inputs": 3,
    "altup_active_idx": 0,
    "altup_coef_clip": 1.0,
    "altup_correct_scale": True,
    "laurel_rank": 4,
    "final_logit_softcapping": 15.0,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 100.0,
    "max_position_embeddings": 256,
}


def wrapped(**changes):
    return {
        "model_type": "gemma3n",
        "architectures": ["Gemma3nForConditionalGeneration"],
        "text_config": {**TEXT, **changes},
        "vision_config": {"model_type": "gemma3n_vision"},
    }


def weight(random, name, shape):
    if name.endswith("norm.weight"):
        # Strong layers, so that the reply is not the prompt's last token again and again.
        centre = 3.0 if ".post_" in name else 1.0
        return random.uniform(centre - 0.4, centre + 0.4, shape)
    if name.endswith("correct_output_scale"):
        return random.uniform(0.6, 1.4, shape)
    if name.endswith("language_model.embed_tokens.weight"):
        return random.normal(0, 0.6, shape)
    return None


VARIANTS = {
    "gemma3n": {
        "config": wrapped(),
        "weight": weight,
        "cached": True,
        "extra": {
            "model.audio_tower.conformer.0.norm.weight": [4],
            "model.embed_audio.embedding_projection.weight": [4, 4],
            "model.embed_vision.embedding_projection.weight": [4, 4],
            "model.vision_tower.timm_model.conv_stem.bn.weight": [4],
        },
        "matters": [
            wrapped(sliding_window=17),
            wrapped(rope_theta=500.0),
            wrapped(rope_local_base_freq=10000.0),
            wrapped(activation_sparsity_pattern=[0.0] * 4),
            wrapped(altup_coef_clip=None),
            wrapped(altup_correct_scale=False),
            wrapped(altup_active_idx=1),
            wrapped(final_logit_softcapping=None),
        ],
    },
    "gemma3n-bfloat16": {
        # Another stream is the active one, and nothing is bounded.
        "config": wrapped(
            intermediate_size=16,
            altup_active_idx=1,
            altup_coef_clip=None,
            altup_correct_scale=False,
            final_logit_softcapping=None,
        ),
        "weight": weight,
        "cached": True,
        "dtype": "bfloat16",
    },
    "gemma3n-quantized": {
        "config": wrapped(
            hidden_size=32,
            intermediate_size=32,
            head_dim=16,
            hidden_size_per_layer_input=32,
            num_hidden_layers=3,
            num_kv_shared_layers=1,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            activation_sparsity_pattern=[0.75, 0.0, 0.0],
            laurel_rank=32,
            altup_num_inputs=2,
        ),
        "weight": weight,
        "cached": True,
        "quantize": {"bits": 4, "group_size": 32},
    },
}
