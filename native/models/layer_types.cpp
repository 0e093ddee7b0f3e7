#include "models/layer_types.h"

#include <algorithm>
#include <map>

void check_layers(const std::string& key, size_t values, int num_hidden_layers) {
  if (values == static_cast<size_t>(num_hidden_layers)) return;
  refuse_config("\"" + key + "\" must name each of \"num_hidden_layers\" layers");
}

std::vector<std::string> layer_types(
    const Config& config, int num_hidden_layers, const std::vector<std::string>& allowed) {
  std::vector<std::string> types = config.texts("layer_types");
  if (types.empty()) return types;
  check_layers("layer_types", types.size(), num_hidden_layers);
  for (const std::string& type : types) {
    if (std::ranges::find(allowed, type) == allowed.end()) {
      refuse_config("\"layer_types\" has the unknown kind \"" + type + "\"");
    }
  }
  return types;
}

std::vector<std::string> required_layer_types(
    const Config& config, int num_hidden_layers, const std::vector<std::string>& allowed) {
  std::vector<std::string> types = layer_types(config, num_hidden_layers, allowed);
  if (types.empty()) refuse_config("\"layer_types\" is missing");
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
      refuse_config(
          "\"num_kv_shared_layers\" leaves no layer of kind \"" + kind + "\" to share with");
    }
    caches.push_back(found->second);
  }
  return caches;
}
