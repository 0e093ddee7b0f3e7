#include "weights.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

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

/// The modes but affine have one size each.
const std::map<std::string, std::pair<int, int>> sizes_of_mode = {
    {"mxfp4", {32, 4}}, {"mxfp8", {32, 8}}, {"nvfp4", {16, 4}}};

bool is_known(const Quantization& quantization) {
  const auto& [group_size, bits, mode] = quantization;
  const auto is_one_of = [](int value, std::initializer_list<int> list) {
    return std::ranges::find(list, value) != list.end();
  };
  if (mode == "affine")
    return is_one_of(bits, {2, 3, 4, 5, 6, 8}) && is_one_of(group_size, {32, 64, 128});
  const auto sizes = sizes_of_mode.find(mode);
  return sizes != sizes_of_mode.end() && sizes->second == std::pair(group_size, bits);
}

/// Only affine keeps its scales in a floating type; the sizes tell the other modes apart.
std::string infer_mode(mx::Dtype scales, int group_size, int bits) {
  if (scales != mx::uint8) return "affine";
  for (const auto& [mode, sizes] : sizes_of_mode) {
    if (sizes == std::pair(group_size, bits)) return mode;
  }
  return "unknown";
}

/// The quantization of one module as config.json gives it; what it leaves out is MLX's default.
Quantization from_config(const Config& entry) {
  const std::string mode = entry.text("mode", "affine");
  const auto sizes = sizes_of_mode.find(mode);
  const auto [group_size, bits] = sizes == sizes_of_mode.end() ? std::pair(64, 4) : sizes->second;
  return {entry.positive("group_size", group_size), entry.positive("bits", bits), mode};
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
    note_missing(name);
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
  taken_.emplace(name, value);
  return value;
}

mx::array Weights::take(const std::string& name, const mx::Shape& shape) {
  return take(name, shape, "floating-point numbers", [](mx::Dtype dtype) {
    return dtype == mx::float32 || dtype == mx::bfloat16 || dtype == mx::float16;
  });
}

mx::array Weights::take_packed(const std::string& name, const mx::Shape& shape, mx::Dtype dtype) {
  const char* kind = dtype == mx::uint8 ? "uint8" : "uint32";
  return take(name, shape, kind, [dtype](mx::Dtype found) { return found == dtype; });
}

void Weights::drop(const std::function<bool(const std::string& name)>& unwanted) {
  std::erase_if(tensors_, [&](const auto& entry) { return unwanted(entry.first); });
}

void Weights::note_missing(const std::string& name) {
  missing_.push_back(name);
  if (missing_.size() >= most_missing) finish();
}

void Weights::rename(const std::function<std::string(const std::string& name)>& new_name) {
  std::map<std::string, Tensor> renamed;
  for (auto& [name, tensor] : tensors_) {
    const auto [place, added] = renamed.try_emplace(new_name(name), tensor);
    if (!added) {
      throw EngineError(
          "unused_tensor", *tensor.file + ": tensor " + name + " and another one in " +
                               *place->second.file + " are both " + place->first);
    }
  }
  tensors_ = std::move(renamed);
}

std::vector<std::string> Weights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

mx::array Weights::extract(const std::string& name) {
  auto node = tensors_.extract(name);
  if (!node) {
    note_missing(name);
    return {};
  }
  return std::move(node.mapped().value);
}

void Weights::put(const std::string& name, mx::array value) {
  static const std::string made = "made of the checkpoint's tensors";
  tensors_.insert_or_assign(name, Tensor{std::move(value), &made});
}

std::optional<Quantization> Weights::quantization(const std::string& path, int in_dims) const {
  const Config& entry = quantization_config_[path];
  const auto weight = tensors_.find(path + ".weight");
  const auto scales = tensors_.find(path + ".scales");
  if (entry.is_false() || weight == tensors_.end() || scales == tensors_.end()) return std::nullopt;

  const std::string place = *weight->second.file + ": " + path;
  Quantization found;
  if (entry.is_object()) {
    found = from_config(entry);
  } else {
    const mx::array& packed = weight->second.value;
    const mx::array& scale = scales->second.value;
    if (packed.ndim() < 2 || scale.ndim() < 2 || packed.dim(-1) < 1 || scale.dim(-1) < 1) {
      throw EngineError("tensor_shape", place + ": weight and scales must have two axes");
    }
    found.group_size = in_dims / scale.dim(-1);
    found.bits = static_cast<int>(int64_t{packed.dim(-1)} * 32 / in_dims);
    found.mode = infer_mode(scale.dtype(), found.group_size, found.bits);
  }
  if (!is_known(found)) {
    throw EngineError(
        "bad_config", place + ": MLX has no quantization of mode " + found.mode + " with " +
                          std::to_string(found.bits) + " bits in groups of " +
                          std::to_string(found.group_size));
  }
  return found;
}

void Weights::finish() const {
  if (!missing_.empty()) {
    throw EngineError(
        "missing_tensor", "the checkpoint lacks " + std::to_string(missing_.size()) +
                              (missing_.size() == 1 ? " tensor: " : " tensors: ") + join(missing_) +
                              " (looked in " + join(files_) + ")");
  }
  if (!tensors_.empty()) {
    throw EngineError(
        "unused_tensor", "the model has no place for " + std::to_string(tensors_.size()) +
                             (tensors_.size() == 1 ? " tensor: " : " tensors: ") + join(names()) +
                             " (in " + *tensors_.begin()->second.file + ")");
  }
}
