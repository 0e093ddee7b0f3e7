#include "weights.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "engine_error.h"
#include "foreign_quantization.h"
#include "gguf.h"
#include "mlx/io.h"
#include "mlx/ops.h"

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

void check_shape(const std::string& place, const mx::array& value, const mx::Shape& shape) {
  if (value.shape() == shape) return;
  throw EngineError(
      "tensor_shape", place + " has shape " + to_text(value.shape()) +
                          ", but config.json asks for " + to_text(shape));
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

bool ends_with_any(const std::string& text, const std::vector<std::string>& ends) {
  return std::ranges::any_of(ends, [&](const std::string& end) { return text.ends_with(end); });
}

/// Refuses a recipe that can tell no module of a model from another.
void check_recipe(
    const std::string& recipe, const std::map<std::string, Quantization>& quantizations) {
  if (recipe.empty() || quantizations.empty()) return;
  const bool is_known = std::ranges::any_of(quantizations, [](const auto& entry) {
    return entry.first.find("down_proj") != std::string::npos;
  });
  if (is_known) return;
  throw EngineError(
      "bad_config",
      "the recipe " + recipe + " goes by the names of modules, and this model has no down_proj");
}

int num_layers(const Config& config) {
  return config.positive(
      "num_hidden_layers", config["text_config"].positive("num_hidden_layers", 1));
}

}  // namespace

Weights::Weights(
    const Config& config, const WeightFiles& files, Conversion conversion, mx::Group group)
    : quantization_config_(config["quantization"]),
      num_layers_(num_layers(config)),
      files_(files.names),
      conversion_(std::move(conversion)),
      group_(group) {
  read(files);
  if (quantization_config_.is_null()) adopt_foreign(config);
}

void Weights::read(const WeightFiles& files) {
  for (const std::string& file : files_) {
    auto tensors = files.gguf.is_null() ? mx::load_safetensors(file) : load_gguf(files.gguf);
    for (auto& [name, value] : tensors) {
      const auto [place, added] = tensors_.try_emplace(name, Tensor{std::move(value), &file});
      if (!added) {
        throw EngineError(
            "unused_tensor", file + ": tensor " + name + " is already in " + *place->second.file);
      }
    }
  }
}

Weights::Weights(const Checkpoint& base, Adapter adapter)
    : num_layers_(num_layers(base.config)),
      quantizations_(base.quantizations),
      adapter_(std::move(adapter)) {
  for (const auto& [name, value] : base.tensors) put(name, value);
  for (const auto& [name, value] : adapter_.replacements()) {
    const auto replaced = tensors_.find(name);
    if (replaced == tensors_.end() || !mx::is_floating(replaced->second.value.dtype()) ||
        replaced->second.value.shape() != value.shape()) {
      throw EngineError("tensor_shape", "the model has no tensor like the adapter's " + name);
    }
    put(name, mx::astype(value, replaced->second.value.dtype()));
  }
}

template <typename Accepts>
mx::array Weights::take(
    const std::string& name, const mx::Shape& shape, std::optional<int> axis, const char* kind,
    Accepts accepts) {
  auto node = tensors_.extract(path_ + name);
  if (!node) {
    note_missing(name);
    return {};
  }
  auto& [value, file] = node.mapped();
  const std::string place = *file + ": tensor " + path_ + name;
  check_shape(place, value, shape);
  if (!accepts(value.dtype())) throw EngineError("tensor_shape", place + " must hold " + kind);
  if (axis) value = group_.part(value, *axis);
  taken_.emplace(path_ + name, value);
  return value;
}

mx::array Weights::take(const std::string& name, const mx::Shape& shape, std::optional<int> axis) {
  mx::array value = take(name, shape, axis, "floating-point numbers", mx::is_floating);
  if (value && conversion_.dtype && !ends_with_any(name, uncast_)) {
    value = mx::astype(value, *conversion_.dtype);
    taken_.insert_or_assign(path_ + name, value);
  }
  return value;
}

mx::array Weights::take_packed(
    const std::string& name, const mx::Shape& shape, mx::Dtype dtype, std::optional<int> axis) {
  const char* kind = dtype == mx::uint8 ? "uint8" : "uint32";
  return take(name, shape, axis, kind, [dtype](mx::Dtype found) { return found == dtype; });
}

int Weights::share(const std::string& key, int count) const {
  if (count % group_.size() == 0) return count / group_.size();
  throw EngineError(
      "cannot_shard", "config.json: \"" + key + "\" is " + std::to_string(count) + ", which " +
                          std::to_string(group_.size()) + " processes cannot share");
}

void Weights::drop(const std::function<bool(const std::string& name)>& unwanted) {
  std::erase_if(tensors_, [&](const auto& entry) {
    return entry.first.starts_with(path_) && unwanted(entry.first.substr(path_.size()));
  });
}

void Weights::adopt_foreign(const Config& config) {
  const Config& own = config["quantization_config"];
  const Config& foreign = own.is_null() ? config["text_config"]["quantization_config"] : own;
  if (foreign.is_null()) return;
  std::map<std::string, mx::array> tensors;
  for (const auto& [name, tensor] : tensors_) tensors.emplace(name, tensor.value);
  adopt_foreign_quantization(foreign, tensors);
  const auto before = std::exchange(tensors_, {});
  for (auto& [name, value] : tensors) {
    const auto same = before.find(name);
    if (same != before.end()) {
      tensors_.emplace(name, Tensor{std::move(value), same->second.file});
    } else {
      put(name, std::move(value));
    }
  }
}

void Weights::drop_layers(const std::string& prefix, int first) {
  drop([&](const std::string& name) {
    if (!name.starts_with(prefix)) return false;
    int layer = 0;
    const auto [end, error] =
        std::from_chars(name.data() + prefix.size(), name.data() + name.size(), layer);
    return error == std::errc() && *end == '.' && layer >= first;
  });
}

void Weights::note_missing(const std::string& name) {
  missing_.push_back(path_ + name);
  if (missing_.size() >= most_missing) finish();
}

void Weights::rename(const std::function<std::string(const std::string& name)>& new_name) {
  std::map<std::string, Tensor> renamed;
  for (auto& [name, tensor] : tensors_) {
    const bool is_inside = name.starts_with(path_);
    const auto [place, added] =
        renamed.try_emplace(is_inside ? path_ + new_name(name.substr(path_.size())) : name, tensor);
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
  for (const auto& [name, tensor] : tensors_) {
    if (name.starts_with(path_)) names.push_back(name.substr(path_.size()));
  }
  return names;
}

mx::array Weights::extract(const std::string& name) {
  auto node = tensors_.extract(path_ + name);
  if (!node) {
    note_missing(name);
    return {};
  }
  return std::move(node.mapped().value);
}

mx::array Weights::extract(const std::string& name, const mx::Shape& shape) {
  const auto found = tensors_.find(path_ + name);
  if (found != tensors_.end()) {
    const auto& [value, file] = found->second;
    check_shape(*file + ": tensor " + path_ + name, value, shape);
  }
  return extract(name);
}

void Weights::put(const std::string& name, mx::array value) {
  static const std::string made = "made of the checkpoint's tensors";
  tensors_.insert_or_assign(path_ + name, Tensor{std::move(value), &made});
}

std::optional<Quantization> Weights::quantization(const std::string& path, int in_dims) const {
  const auto known = quantizations_.find(path_ + path);
  if (known != quantizations_.end()) return known->second;
  const Config& entry = quantization_config_[path_ + path];
  const auto weight = tensors_.find(path_ + path + ".weight");
  const auto scales = tensors_.find(path_ + path + ".scales");
  if (entry.is_false() || weight == tensors_.end() || scales == tensors_.end()) return std::nullopt;

  const std::string place = *weight->second.file + ": " + path_ + path;
  if (entry.is_object()) return to_quantization(entry, place);
  return infer_quantization(weight->second.value, scales->second.value, in_dims, place);
}

std::optional<Quantization> Weights::wanted_quantization(
    const std::string& path, int in_dims) const {
  if (!conversion_.quantize || in_dims % conversion_.quantize->group_size != 0) return std::nullopt;
  if (is_deferred(path_ + path)) return std::nullopt;
  if (!conversion_.recipe.empty()) {
    const int group_size = conversion_.quantize->group_size;
    return mixed_quantization(conversion_.recipe, group_size, path_ + path, num_layers_);
  }
  if (!ends_with_any(path, eight_bits_)) return conversion_.quantize;
  const Quantization precise{64, 8, "affine"};
  return in_dims % precise.group_size == 0 ? precise : conversion_.quantize;
}

void Weights::replace(
    const std::string& path, const mx::array& weight, const mx::array& scales,
    const mx::array& biases, const std::optional<Quantization>& quantization) {
  const auto put = [&](const char* part, const mx::array& value) {
    if (value) {
      taken_.insert_or_assign(path_ + path + part, value);
    } else {
      taken_.erase(path_ + path + part);
    }
  };
  put(".weight", weight);
  put(".scales", scales);
  put(".biases", biases);
  if (quantization) {
    quantizations_.insert_or_assign(path_ + path, *quantization);
  } else {
    taken_.erase(path_ + path + ".output_scale");
  }
}

std::optional<LowRank> Weights::low_rank(const std::string& path) {
  std::optional<LowRank> update = adapter_.take(path_ + path);
  // Those who train the text model alone know nothing of what it is part of.
  return update || path_.empty() ? update : adapter_.take(path);
}

std::vector<mx::array> Weights::in_memory() const {
  std::vector<mx::array> arrays = held_;
  for (const auto& [name, tensor] : taken_) {
    if (!is_deferred(name)) arrays.push_back(tensor);
  }
  return arrays;
}

std::vector<mx::array> Weights::deferred() const {
  std::vector<mx::array> arrays;
  for (const auto& [name, tensor] : taken_) {
    if (is_deferred(name)) arrays.push_back(tensor);
  }
  return arrays;
}

bool Weights::is_deferred(const std::string& name) const {
  return std::ranges::any_of(
      deferred_, [&](const std::string& path) { return name.starts_with(path); });
}

void Weights::finish() const {
  if (const auto leftovers = adapter_.leftovers(); !leftovers.empty()) {
    throw EngineError(
        "unused_tensor", "the model has no place for the adapter's " + join(leftovers));
  }
  if (!missing_.empty()) {
    throw EngineError(
        "missing_tensor", "the checkpoint lacks " + std::to_string(missing_.size()) +
                              (missing_.size() == 1 ? " tensor: " : " tensors: ") + join(missing_) +
                              " (looked in " + join(files_) + ")");
  }
  if (!tensors_.empty()) {
    std::vector<std::string> unused;
    for (const auto& [name, tensor] : tensors_) unused.push_back(name);
    throw EngineError(
        "unused_tensor", "the model has no place for " + std::to_string(unused.size()) +
                             (unused.size() == 1 ? " tensor: " : " tensors: ") + join(unused) +
                             " (in " + *tensors_.begin()->second.file + ")");
  }
  check_recipe(conversion_.recipe, quantizations_);
}

void add_prefix(Weights& weights, const std::string& prefix, const std::string& known) {
  if (!weights.has(known)) return;
  weights.rename([&](const std::string& name) { return prefix + name; });
}
