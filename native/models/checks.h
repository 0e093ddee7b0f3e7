#pragma once

#include <string>
#include <vector>

#include "config.h"

/// Refuses head counts that no attention can be built from ("bad_config").
void check_heads(int heads, int kv_heads, int head_dim);

/// Refuses a size that cannot be multiplied without care ("bad_config"): `key` names it.
void check_width(const std::string& key, int width);

/// How many numbers of each head rotary embedding turns where it turns `partial_rotary_factor` of
/// them; an odd number, or none, is refused.
int rotary_dims(int head_dim, float partial_rotary_factor);

/// `layer_types` of a config: one of the allowed kinds for each layer; empty where the config has
/// none. Anything else is refused.
std::vector<std::string> layer_types(
    const Config& config, int num_hidden_layers,
    const std::vector<std::string>& allowed = {"full_attention", "sliding_attention"});
