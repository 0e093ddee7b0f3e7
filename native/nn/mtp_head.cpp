#include "nn/mtp_head.h"

#include <algorithm>
#include <initializer_list>

namespace {

bool has_weights(
    const Weights& weights, const std::string& path, std::initializer_list<const char*> modules) {
  return std::ranges::all_of(modules, [&](const std::string& module) {
    return weights.has(path + "." + module + ".weight");
  });
}

}  // namespace

bool keep_mtp_layer(Weights& weights, int layer) {
  const std::string path = "model.layers." + std::to_string(layer);
  const bool is_there =
      has_weights(weights, path, {"enorm", "hnorm", "eh_proj", "shared_head.norm"});
  weights.drop_layers("model.layers.", is_there ? layer + 1 : layer);
  weights.drop([&](const std::string& name) {
    return name.starts_with(path + ".embed_tokens.") ||
           name.starts_with(path + ".shared_head.head.");
  });
  return is_there;
}

bool keep_mtp_module(Weights& weights) {
  const bool is_there =
      has_weights(weights, "mtp", {"fc", "pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"});
  weights.drop_layers("mtp.layers.", 1);
  weights.drop([&](const std::string& name) {
    return name.find("mtp.") != std::string::npos && !(is_there && name.starts_with("mtp."));
  });
  return is_there;
}
