#pragma once

#include <string>
#include <vector>

#include "config.h"

/// Refuses head counts that no attention can be built from ("bad_config").
void check_heads(int heads, int kv_heads, int head_dim);

/// `layer_types` of a config: one of the allowed kinds for each layer; empty where the config has
/// none. Anything else is refused.
std::vector<std::string> layer_types(
    const Config& config, int num_hidden_layers,
    const std::vector<std::string>& allowed = {"full_attention", "sliding_attention"});
