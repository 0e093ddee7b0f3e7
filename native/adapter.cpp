#include "adapter.h"

#include <utility>

#include "engine_error.h"
#include "mlx/io.h"
#include "mlx/ops.h"

using mx::array;

namespace {

/// A path and what follows its last dot.
std::pair<std::string, std::string> split(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {name, ""};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

}  // namespace

Adapter::Adapter(const Config& description) {
  const std::string file = description.text("file");
  const bool is_transposed = description.boolean("transposed", false);
  const float scale = description.number("scale", 1.0f);
  const Config& names = description["tensors"];
  for (auto& [name, value] : mx::load_safetensors(file)) {
    if (!names.has(name)) {
      throw EngineError(
          "unused_tensor", file + ": nobody knows what the tensor " + name + " is for");
    }
    if (!mx::is_floating(value.dtype())) {
      throw EngineError(
          "tensor_shape", file + ": tensor " + name + " must hold floating-point numbers");
    }
    const std::string target = names.text(name);
    const auto put = [&](array& place, array made) {
      if (place) throw EngineError("unused_tensor", file + ": two tensors are " + target);
      place = std::move(made);
    };
    const auto [path, part] = split(target);
    tensors_.push_back(value);
    if (part == "lora_a" || part == "lora_b") {
      LowRank& update = updates_[path];
      update.scale = description["scales"].number(path, scale);
      const bool turns = is_transposed && value.ndim() == 2;
      put(part == "lora_a" ? update.a : update.b, turns ? mx::transpose(value, {1, 0}) : value);
    } else if (part == "m") {
      put(updates_[path].magnitude, mx::reshape(value, {-1}));
    } else {
      put(replacements_[target], value);
    }
  }
}

std::optional<LowRank> Adapter::take(const std::string& path) {
  auto node = updates_.extract(path);
  if (!node) return std::nullopt;
  const LowRank& update = node.mapped();
  if (!update.a || !update.b) {
    throw EngineError(
        "missing_tensor", "the adapter lacks " + path + (update.a ? ".lora_b" : ".lora_a") +
                              " beside its other half");
  }
  return update;
}

std::vector<std::string> Adapter::leftovers() const {
  std::vector<std::string> paths;
  for (const auto& [path, update] : updates_) paths.push_back(path);
  return paths;
}
