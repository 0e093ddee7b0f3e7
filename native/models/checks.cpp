#include "models/checks.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include "engine_error.h"

namespace {

[[noreturn]] void refuse(const std::string& problem) {
  throw EngineError("bad_config", "config.json: " + problem);
}

// Products of sizes must stay far inside an int.
constexpr int64_t most_width = 1 << 24;

}  // namespace

void check_heads(int heads, int kv_heads, int head_dim) {
  if (heads % kv_heads != 0) {
    refuse(
        "\"num_attention_heads\" (" + std::to_string(heads) +
        ") is no multiple of \"num_key_value_heads\" (" + std::to_string(kv_heads) + ")");
  }
  if (head_dim < 1 || head_dim % 2 != 0) {
    refuse("\"head_dim\" (" + std::to_string(head_dim) + ") must be even");
  }
  if (int64_t{heads} * head_dim > most_width) refuse("the attention heads are too large");
}

void check_width(const std::string& key, int64_t width) {
  if (width > most_width) refuse("\"" + key + "\" is too large");
}

void check_layers(const std::string& key, size_t values, int num_hidden_layers) {
  if (values == static_cast<size_t>(num_hidden_layers)) return;
  refuse("\"" + key + "\" must name each of \"num_hidden_layers\" layers");
}

void check_linear_heads(int key_heads, int key_head_dim, int value_heads, int value_head_dim) {
  if (value_heads % key_heads != 0) {
    refuse(
        "\"linear_num_value_heads\" (" + std::to_string(value_heads) +
        ") is no multiple of \"linear_num_key_heads\" (" + std::to_string(key_heads) + ")");
  }
  checked_product(key_heads, key_head_dim);
  checked_product(checked_product(value_heads, value_head_dim), key_head_dim);
}

void check_experts(int experts, int per_token) {
  if (per_token > experts) {
    refuse(
        "\"num_experts_per_tok\" (" + std::to_string(per_token) + ") is more than the " +
        std::to_string(experts) + " experts");
  }
}

int checked_product(int a, int b) {
  if (int64_t{a} * b > most_width) {
    refuse("layers of " + std::to_string(a) + " · " + std::to_string(b) + " numbers are too wide");
  }
  return a * b;
}

void check_only(const Config& config, const std::string& key, const std::string& known) {
  const std::string value = config.text(key, known);
  if (value != known) refuse("\"" + key + "\" is \"" + value + "\", not \"" + known + "\"");
}

std::vector<std::string> layer_types(
    const Config& config, int num_hidden_layers, const std::vector<std::string>& allowed) {
  std::vector<std::string> types = config.texts("layer_types");
  if (types.empty()) return types;
  check_layers("layer_types", types.size(), num_hidden_layers);
  for (const std::string& type : types) {
    if (std::ranges::find(allowed, type) == allowed.end()) {
      refuse("\"layer_types\" has the unknown kind \"" + type + "\"");
    }
  }
  return types;
}

std::vector<std::string> required_layer_types(
    const Config& config, int num_hidden_layers, const std::vector<std::string>& allowed) {
  std::vector<std::string> types = layer_types(config, num_hidden_layers, allowed);
  if (types.empty()) refuse("\"layer_types\" is missing");
  return types;
}

std::vector<size_t> layer_caches(
    const std::vector<std::string>& layer_types, int num_kv_shared_layers) {
  const size_t shared = static_cast<size_t>(num_kv_shared_layers);
  const size_t first_shared = layer_types.size() - std::min(shared, layer_types.size());
  std::map<std::string, size_t> last_of_kind;
  std::vector<size_t> caches;
  for (size_t layer = 0; layer < layer_types.size(); layer++) {
    const std::string& kind = layer_types[layer];
    if (layer < first_shared) last_of_kind[kind] = layer;
    const auto found = last_of_kind.find(kind);
    if (found == last_of_kind.end()) {
      refuse("\"num_kv_shared_layers\" leaves no layer of kind \"" + kind + "\" to share with");
    }
    caches.push_back(found->second);
  }
  return caches;
}
