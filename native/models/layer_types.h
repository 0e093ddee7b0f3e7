#pragma once

#include <string>
#include <vector>

#include "config.h"

/// Refuses a list that does not hold one value for each layer ("bad_config").
void check_layers(const std::string& key, size_t values, int num_hidden_layers);

/// `layer_types` of a config: one of the allowed kinds for each layer; empty where the config has
/// none. Anything else is refused.
std::vector<std::string> layer_types(
    const Config& config, int num_hidden_layers,
    const std::vector<std::string>& allowed = {"full_attention", "sliding_attention"});

/// The same for a model that cannot do without.
std::vector<std::string> required_layer_types(
    const Config& config, int num_hidden_layers, const std::vector<std::string>& allowed);

/// The layer whose cache each layer reads: its own, except that the last `num_kv_shared_layers`
/// read that of the last layer of their kind before them. Where there is none, they are refused.
std::vector<size_t> layer_caches(
    const std::vector<std::string>& layer_types, int num_kv_shared_layers);
