#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config.h"

/// Refuses head counts that no attention can be built from ("bad_config").
void check_heads(int heads, int kv_heads, int head_dim);

/// Refuses a size that cannot be multiplied without care ("bad_config"): `key` names it.
void check_width(const std::string& key, int64_t width);

/// Refuses a list that does not hold one value for each layer ("bad_config").
void check_layers(const std::string& key, size_t values, int num_hidden_layers);

/// Refuses head counts that no gated delta net can be built from ("bad_config").
void check_linear_heads(int key_heads, int key_head_dim, int value_heads, int value_head_dim);

/// Refuses more experts for a token than there are ("bad_config").
void check_experts(int experts, int per_token);

/// a · b, refused where no layer can be so wide ("bad_config").
int checked_product(int a, int b);

/// Refuses any other value of a key than the one that the model can do ("bad_config").
void check_only(const Config& config, const std::string& key, const std::string& known);

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
