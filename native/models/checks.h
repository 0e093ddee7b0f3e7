#pragma once

#include <cstdint>
#include <string>

#include "config.h"

/// Refuses head counts that no attention can be built from ("bad_config").
void check_heads(int heads, int kv_heads, int head_dim);

/// Refuses a size that cannot be multiplied without care ("bad_config"): `key` names it.
void check_width(const std::string& key, int64_t width);

/// Refuses head counts that no gated delta net can be built from ("bad_config").
void check_linear_heads(int key_heads, int key_head_dim, int value_heads, int value_head_dim);

/// Refuses more experts for a token than there are ("bad_config").
void check_experts(int experts, int per_token);

/// a · b, refused where no layer can be so wide ("bad_config").
int checked_product(int a, int b);

/// Refuses any other value of a key than the one that the model can do ("bad_config").
void check_only(const Config& config, const std::string& key, const std::string& known);
