#include "quantization.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <utility>

#include "engine_error.h"

namespace {

struct Sizes {
  int group_size;
  int bits;

  bool operator==(const Sizes&) const = default;
};

/// The modes but affine have one size each.
const std::map<std::string, Sizes> sizes_of_mode = {
    {"mxfp4", {32, 4}}, {"mxfp8", {32, 8}}, {"nvfp4", {16, 4}}};
constexpr Sizes affine_default{64, 4};

/// Bits of most modules and of those that matter most.
const std::map<std::string, std::pair<int, int>> bits_of_recipe = {
    {"mixed_2_6", {2, 6}}, {"mixed_3_4", {3, 4}}, {"mixed_3_6", {3, 6}}, {"mixed_4_6", {4, 6}}};

bool is_known(const Quantization& quantization) {
  const auto& [group_size, bits, mode] = quantization;
  const auto is_one_of = [](int value, std::initializer_list<int> list) {
    return std::ranges::find(list, value) != list.end();
  };
  if (mode == "affine") {
    return is_one_of(bits, {2, 3, 4, 5, 6, 8}) && is_one_of(group_size, {32, 64, 128});
  }
  const auto sizes = sizes_of_mode.find(mode);
  return sizes != sizes_of_mode.end() && sizes->second == Sizes{group_size, bits};
}

Quantization checked(Quantization quantization, const std::string& place) {
  if (is_known(quantization)) return quantization;
  throw EngineError(
      "bad_config", place + ": MLX has no quantization of mode " + quantization.mode + " with " +
                        std::to_string(quantization.bits) + " bits in groups of " +
                        std::to_string(quantization.group_size));
}

/// Only affine keeps its scales in a floating type; the sizes tell the other modes apart.
std::string infer_mode(mx::Dtype scales, Sizes found) {
  if (scales != mx::uint8) return "affine";
  for (const auto& [mode, sizes] : sizes_of_mode) {
    if (sizes == found) return mode;
  }
  return "unknown";
}

/// The number of the layer that a module's path names; 0 outside of layers.
int layer_of(const std::string& path) {
  size_t start = 0;
  while (start < path.size()) {
    const size_t end = std::min(path.find('.', start), path.size());
    const std::string part = path.substr(start, end - start);
    if (part.size() < 9 && !part.empty() &&
        std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; })) {
      return std::stoi(part);
    }
    start = end + 1;
  }
  return 0;
}

}  // namespace

Quantization to_quantization(const Config& entry, const std::string& place) {
  const std::string mode = entry.text("mode", "affine");
  const auto sizes = sizes_of_mode.find(mode);
  const auto [group_size, bits] = sizes == sizes_of_mode.end() ? affine_default : sizes->second;
  return checked(
      {entry.positive("group_size", group_size), entry.positive("bits", bits), mode}, place);
}

Quantization infer_quantization(
    const mx::array& weight, const mx::array& scales, int in_dims, const std::string& place) {
  if (weight.ndim() < 2 || scales.ndim() < 2 || weight.dim(-1) < 1 || scales.dim(-1) < 1) {
    throw EngineError("tensor_shape", place + ": weight and scales must have two axes");
  }
  const Sizes found{
      in_dims / scales.dim(-1), static_cast<int>(int64_t{weight.dim(-1)} * 32 / in_dims)};
  return checked({found.group_size, found.bits, infer_mode(scales.dtype(), found)}, place);
}

std::optional<mx::Dtype> to_dtype(const Config& options) {
  if (!options.has("dtype")) return std::nullopt;
  const std::string name = options.text("dtype");
  if (name == "float16") return mx::float16;
  if (name == "bfloat16") return mx::bfloat16;
  if (name == "float32") return mx::float32;
  throw EngineError(
      "invalid_argument", "dtype \"" + name + "\" is none of float16, bfloat16, float32");
}

Conversion to_conversion(const Config& options) {
  Conversion conversion;
  const Config& quantize = options["quantize"];
  if (quantize.is_object()) {
    conversion.quantize = to_quantization(quantize, "quantize");
    conversion.recipe = quantize.text("recipe", "");
    if (!conversion.recipe.empty() && !bits_of_recipe.contains(conversion.recipe)) {
      throw EngineError("invalid_argument", "there is no recipe \"" + conversion.recipe + "\"");
    }
  }
  conversion.dequantize = options.boolean("dequantize", false);
  conversion.dtype = to_dtype(options);
  return conversion;
}

Quantization mixed_quantization(
    const std::string& recipe, int group_size, const std::string& path, int num_layers) {
  const auto contains = [&](const char* part) { return path.find(part) != std::string::npos; };
  const auto [low, high] = bits_of_recipe.at(recipe);
  const int eighth = num_layers / 8;
  const int layer = layer_of(path);
  const bool is_outer = layer < eighth || layer >= 7 * num_layers / 8;
  const bool is_third = layer >= eighth && (layer - eighth) % 3 == 2;
  const bool is_sensitive =
      contains("v_proj") || contains("v_a_proj") || contains("v_b_proj") || contains("down_proj");
  const bool use_more_bits = contains("lm_head") || (is_sensitive && (is_outer || is_third));
  return {group_size, use_more_bits ? high : low, "affine"};
}
