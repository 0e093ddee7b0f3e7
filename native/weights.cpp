#include "weights.h"

#include "engine_error.h"
#include "mlx/io.h"

namespace {

// A wrong config.json can ask for any number of layers; past this the list tells nothing new.
constexpr size_t most_missing = 2000;

std::string to_text(const mx::Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); i++) {
    text += (i ? ", " : "") + std::to_string(shape[i]);
  }
  return text + ")";
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Only affine keeps its scales in a floating type; each other mode has one size of its own.
std::string infer_mode(const std::string& place, mx::Dtype scales, int bits, int group_size) {
  if (scales != mx::uint8) return "affine";
  if (bits == 4 && group_size == 16) return "nvfp4";
  if (bits == 4 && group_size == 32) return "mxfp4";
  if (bits == 8 && group_size == 32) return "mxfp8";
  throw EngineError(
      "tensor_shape", place + ": no quantization mode of MLX has " + std::to_string(bits) +
                          " bits in groups of " + std::to_string(group_size));
}

}  // namespace

Weights::Weights(const Config& config, const std::vector<std::string>& files)
    : quantization_config_(config["quantization"]), files_(files) {
  for (const std::string& file : files_) {
    for (auto& [name, value] : mx::load_safetensors(file)) {
      const auto [place, added] = tensors_.try_emplace(name, Tensor{std::move(value), &file});
      if (!added) {
        throw EngineError(
            "unused_tensor", file + ": tensor " + name + " is already in " + *place->second.file);
      }
    }
  }
}

template <typename Accepts>
mx::array Weights::take(
    const std::string& name, const mx::Shape& shape, const char* kind, Accepts accepts) {
  auto node = tensors_.extract(name);
  if (!node) {
    missing_.push_back(name);
    if (missing_.size() >= most_missing) finish();
    return {};
  }
  const auto& [value, file] = node.mapped();
  const std::string place = *file + ": tensor " + name;
  if (value.shape() != shape) {
    throw EngineError(
        "tensor_shape", place + " has shape " + to_text(value.shape()) +
                            ", but config.json asks for " + to_text(shape));
  }
  if (!accepts(value.dtype())) throw EngineError("tensor_shape", place + " must hold " + kind);
  taken_.push_back(value);
  return value;
}

mx::array Weights::take(const std::string& name, const mx::Shape& shape) {
  return take(name, shape, "floating-point numbers", [](mx::Dtype dtype) {
    return dtype == mx::float32 || dtype == mx::bfloat16 || dtype == mx::float16;
  });
}

mx::array Weights::take_packed(const std::string& name, const mx::Shape& shape) {
  return take(name, shape, "packed bits (uint32 or uint8)", [](mx::Dtype dtype) {
    return dtype == mx::uint32 || dtype == mx::uint8;
  });
}

void Weights::drop(const std::function<bool(const std::string& name)>& unwanted) {
  std::erase_if(tensors_, [&](const auto& entry) { return unwanted(entry.first); });
}

std::optional<Quantization> Weights::quantization(const std::string& path, int in_dims) const {
  const Config& override = quantization_config_[path];
  const auto scales = tensors_.find(path + ".scales");
  if (override.is_false() || scales == tensors_.end()) return std::nullopt;
  if (override.is_object()) {
    return Quantization{
        override.positive("group_size"), override.positive("bits"),
        override.text("mode", "affine")};
  }
  const auto weight = tensors_.find(path + ".weight");
  if (weight == tensors_.end()) return std::nullopt;
  const mx::array& packed = weight->second.value;
  const mx::array& scale = scales->second.value;
  const std::string place = *weight->second.file + ": tensor " + path + ".scales";
  if (packed.ndim() < 2 || scale.ndim() < 2 || packed.dim(-1) < 1 || scale.dim(-1) < 1 ||
      scale.dim(-1) > in_dims) {
    throw EngineError("tensor_shape", place + " does not fit its weight");
  }
  const int group_size = in_dims / scale.dim(-1);
  const int bits = static_cast<int>(int64_t{packed.dim(-1)} * 32 / in_dims);
  return Quantization{group_size, bits, infer_mode(place, scale.dtype(), bits, group_size)};
}

void Weights::finish() const {
  if (!missing_.empty()) {
    throw EngineError(
        "missing_tensor", "the checkpoint lacks " + std::to_string(missing_.size()) +
                              (missing_.size() == 1 ? " tensor: " : " tensors: ") + join(missing_) +
                              " (looked in " + join(files_) + ")");
  }
  if (!tensors_.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.push_back(name);
    throw EngineError(
        "unused_tensor", "the model has no place for " + std::to_string(names.size()) +
                             (names.size() == 1 ? " tensor: " : " tensors: ") + join(names) +
                             " (in " + *tensors_.begin()->second.file + ")");
  }
}
