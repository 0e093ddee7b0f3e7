#include "foreign_quantization.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine_error.h"
#include "mlx/ops.h"

using mx::array;

namespace {

using Tensors = std::map<std::string, array>;

[[noreturn]] void refuse(const std::string& problem) {
  refuse_config("\"quantization_config\" " + problem);
}

array extract(Tensors& tensors, const std::string& name) {
  auto node = tensors.extract(name);
  if (!node) throw EngineError("missing_tensor", "the checkpoint lacks the tensor " + name);
  if (node.mapped().size() == 0) throw EngineError("tensor_shape", "tensor " + name + " is empty");
  return std::move(node.mapped());
}

void check_matrix(const array& value, const std::string& name) {
  if (value.ndim() == 2) return;
  throw EngineError("tensor_shape", "tensor " + name + " must have two axes");
}

array extract_matrix(Tensors& tensors, const std::string& name) {
  array value = extract(tensors, name);
  check_matrix(value, name);
  return value;
}

void check_floating(const array& value, const std::string& name) {
  if (mx::is_floating(value.dtype())) return;
  throw EngineError("tensor_shape", "tensor " + name + " must hold floating-point numbers");
}

/// A tensor of one number, without axes.
array extract_number(Tensors& tensors, const std::string& name) {
  const array value = extract(tensors, name);
  if (value.size() != 1) {
    throw EngineError("tensor_shape", "tensor " + name + " must hold one number");
  }
  check_floating(value, name);
  return mx::reshape(value, {});
}

/// The paths of all modules that have a tensor of this name.
std::vector<std::string> paths_with(const Tensors& tensors, const std::string& part) {
  std::vector<std::string> paths;
  for (const auto& [name, value] : tensors) {
    if (name.ends_with(part)) paths.push_back(name.substr(0, name.size() - part.size()));
  }
  return paths;
}

void drop(Tensors& tensors, const std::string& part) {
  std::erase_if(tensors, [&](const auto& entry) { return entry.first.ends_with(part); });
}

/// Shifts that bring each number of a 32-bit word to its lowest bits.
array shifts(int bits) {
  std::vector<uint32_t> values;
  for (int bit = 0; bit < 32; bit += bits) values.push_back(static_cast<uint32_t>(bit));
  return mx::from_data(std::span<const uint32_t>(values));
}

/// The numbers of packed words (a, b), word by word along a new last axis: (a, b, 32 / bits)
array unpack(const array& packed, const array& shifts, int bits) {
  const uint32_t mask = (1u << bits) - 1;
  const array words = mx::expand_dims(mx::view(packed, mx::uint32), -1);
  return mx::bitwise_and(mx::right_shift(words, shifts), mx::from_data(std::span(&mask, 1)));
}

/// Numbers (out, in) in MLX's words, (out, in · bits / 32)
array pack(const array& numbers, int bits) {
  const int per_word = 32 / bits;
  const array words = mx::reshape(numbers, {numbers.dim(0), -1, per_word});
  const array sum = mx::sum(mx::left_shift(words, shifts(bits)), -1);
  return mx::astype(mx::squeeze(sum, -1), mx::uint32);
}

/// Stores what a grid of whole numbers with scales and zero points (out, groups) means:
/// scale · (number − zero) = scale · number + bias
void put_affine(
    Tensors& tensors, const std::string& path, array weight, const array& scales,
    const array& zeros) {
  check_floating(scales, path + ".scales");
  if (zeros.ndim() > 0 && zeros.shape() != scales.shape()) {
    throw EngineError("tensor_shape", path + " has not as many zero points as scales");
  }
  const array biases = -(mx::astype(zeros, mx::float32) * mx::astype(scales, mx::float32));
  tensors.insert_or_assign(path + ".weight", std::move(weight));
  tensors.insert_or_assign(path + ".scales", scales);
  tensors.insert_or_assign(path + ".biases", mx::astype(biases, scales.dtype()));
}

/// Half precisions must not meet, or MLX computes in float32: all take the type of the scales.
void cast_to_scales(Tensors& tensors) {
  const auto scales = paths_with(tensors, ".scales");
  if (scales.empty()) return;
  const mx::Dtype dtype = tensors.at(scales.front() + ".scales").dtype();
  for (auto& [name, value] : tensors) {
    // Routers add it to float32 scores: experts that are nearly as good lie close together.
    if (name.ends_with(".e_score_correction_bias")) continue;
    if (mx::is_floating(value.dtype())) value = mx::astype(value, dtype);
  }
}

// ---- AWQ and GPTQ ---------------------------------------------------------------------------

/// qweight (in, out / 8), where a word holds the outputs 0 2 4 6 1 3 5 7; qzeros (groups, out / 8).
void adopt_awq(const Config& config, Tensors& tensors) {
  constexpr int bits = 4;
  if (config.positive("bits", bits) != bits) refuse("of AWQ must have 4 \"bits\"");
  constexpr std::array<uint32_t, 8> order = {0, 16, 4, 20, 8, 24, 12, 28};
  const array awq_shifts = mx::from_data(std::span<const uint32_t>(order));
  const auto unpacked = [&](const array& packed) {  // (a, out / 8) → (out, a)
    const array numbers = mx::reshape(unpack(packed, awq_shifts, bits), {packed.dim(0), -1});
    return mx::transpose(numbers, {1, 0});
  };
  for (const std::string& path : paths_with(tensors, ".qweight")) {
    const array weight = unpacked(extract_matrix(tensors, path + ".qweight"));
    const array zeros = unpacked(extract_matrix(tensors, path + ".qzeros"));
    const array scales = mx::transpose(extract_matrix(tensors, path + ".scales"), {1, 0});
    put_affine(tensors, path, pack(weight, bits), mx::contiguous(scales), zeros);
  }
  cast_to_scales(tensors);
}

/// Groups in another order than that of the inputs have no place in MLX's layout.
void check_order(const array& g_idx, int groups, const std::string& path) {
  const std::vector<uint32_t> group_of = mx::to_uint32s(g_idx);
  const size_t group_size = group_of.size() / static_cast<size_t>(groups);
  for (size_t i = 0; i < group_of.size(); i++) {
    if (group_size == 0 || group_of[i] != i / group_size) {
      refuse(
          "of GPTQ has reordered groups (\"desc_act\") in " + path +
          ": choose a checkpoint that was made without");
    }
  }
}

/// qweight (in · bits / 32, out), in order; qzeros (groups, out · bits / 32), less one in the first
/// version of the format.
void adopt_gptq(const Config& config, Tensors& tensors) {
  const int bits = config.positive("bits", 4);
  if (bits != 4 && bits != 8) refuse("of GPTQ must have 4 or 8 \"bits\"");
  const bool is_second = config.text("checkpoint_format", "gptq") == "gptq_v2";
  for (const std::string& path : paths_with(tensors, ".qweight")) {
    const array qweight = extract_matrix(tensors, path + ".qweight");
    const array qzeros = extract_matrix(tensors, path + ".qzeros");
    const array scales = mx::transpose(extract_matrix(tensors, path + ".scales"), {1, 0});
    if (tensors.contains(path + ".g_idx")) {
      check_order(extract(tensors, path + ".g_idx"), scales.dim(1), path);
    }
    const array weight = unpack(mx::transpose(qweight, {1, 0}), shifts(bits), bits);
    const array zeros = mx::astype(unpack(qzeros, shifts(bits), bits), mx::float32);
    const array zeros_of_outputs = mx::transpose(mx::reshape(zeros, {qzeros.dim(0), -1}), {1, 0});
    put_affine(
        tensors, path, pack(mx::reshape(weight, {qweight.dim(1), -1}), bits),
        mx::contiguous(scales), is_second ? zeros_of_outputs : zeros_of_outputs + 1.0f);
  }
  cast_to_scales(tensors);
}

// ---- compressed-tensors and ModelOpt --------------------------------------------------------

/// The bits that all groups of modules have.
int packed_bits(const Config& config) {
  int bits = 0;
  for (const Config& group : config.values("config_groups")) {
    const int own = group["weights"].positive("num_bits", 4);
    if (own != 4 && own != 8) refuse("of packed weights must have 4 or 8 \"num_bits\"");
    if (bits != 0 && own != bits) refuse("has groups of different \"num_bits\"");
    bits = own;
  }
  return bits == 0 ? 4 : bits;
}

/// weight_packed (out, in · bits / 32) is MLX's own; zero points, if any, are packed along outputs.
void adopt_packed(const Config& config, Tensors& tensors) {
  const int bits = packed_bits(config);
  for (const std::string& path : paths_with(tensors, ".weight_packed")) {
    const array weight = mx::view(extract_matrix(tensors, path + ".weight_packed"), mx::uint32);
    const array scales = extract_matrix(tensors, path + ".weight_scale");
    array zeros = mx::scalar(static_cast<float>(1 << (bits - 1)), mx::float32);
    if (tensors.contains(path + ".weight_zero_point")) {
      const array packed = extract_matrix(tensors, path + ".weight_zero_point");
      const array numbers = unpack(mx::transpose(packed, {1, 0}), shifts(bits), bits);
      zeros = mx::transpose(mx::reshape(numbers, {packed.dim(1), -1}), {1, 0});
    }
    put_affine(tensors, path, weight, scales, zeros);
  }
  drop(tensors, ".weight_shape");
  cast_to_scales(tensors);
}

/// Names of what a 4-bit floating format stores for a module.
struct FloatNames {
  const char* weight;        // (out, in / 2) bytes
  const char* scales;        // (out, in / group) bytes
  const char* global_scale;  // one float32, if the format has it
  bool divides;              // whether values are divided by the global scale
};

void adopt_float(Tensors& tensors, const FloatNames& names) {
  for (const std::string& path : paths_with(tensors, names.scales)) {
    const array weight = extract_matrix(tensors, path + names.weight);
    const array scales = extract_matrix(tensors, path + names.scales);
    tensors.insert_or_assign(path + ".weight", mx::view(mx::contiguous(weight), mx::uint32));
    tensors.insert_or_assign(path + ".scales", scales);
    if (!tensors.contains(path + names.global_scale)) continue;
    const array global = extract_number(tensors, path + names.global_scale);
    tensors.insert_or_assign(
        path + ".output_scale", names.divides ? mx::reciprocal(global) : global);
  }
  // Scales of activations and of caches, which here are not quantized.
  for (const char* part : {".input_global_scale", ".input_scale", ".k_scale", ".v_scale"}) {
    drop(tensors, part);
  }
}

void adopt_compressed_tensors(const Config& config, Tensors& tensors) {
  const std::string format = config.text("format");
  if (format == "pack-quantized") return adopt_packed(config, tensors);
  if (format == "nvfp4-pack-quantized" || format == "mxfp4-pack-quantized") {
    return adopt_float(
        tensors, {.weight = ".weight_packed",
                  .scales = ".weight_scale",
                  .global_scale = ".weight_global_scale",
                  .divides = true});
  }
  refuse(
      "of compressed-tensors has the format \"" + format +
      "\"; known ones are pack-quantized, nvfp4-pack-quantized, mxfp4-pack-quantized");
}

void adopt_modelopt(const Config& config, Tensors& tensors) {
  const Config& settings = config.has("quantization") ? config["quantization"] : config;
  if (settings.text("quant_algo") != "NVFP4") refuse("of ModelOpt must have quant_algo NVFP4");
  adopt_float(
      tensors, {.weight = ".weight",
                .scales = ".weight_scale",
                .global_scale = ".weight_scale_2",
                .divides = false});
}

// ---- BitNet ---------------------------------------------------------------------------------

/// The widest groups that rows of so many numbers can be cut into.
int widest_group(int in_dims, const std::string& path) {
  for (const int group_size : {128, 64, 32}) {
    if (in_dims % group_size == 0) return group_size;
  }
  refuse("of bitnet needs rows of a multiple of 32 numbers, unlike those of " + path);
}

/// weight (out / 4, in) of bytes that each hold four rows, a quarter of the matrix apart: 0, 1, 2
/// for −1, 0, 1. All are multiplied by weight_scale (1), or divided in the first kind of layers.
void adopt_bitnet(const Config& config, Tensors& tensors) {
  if (config.text("quantization_mode", "offline") != "offline") {
    refuse("of bitnet has \"quantization_mode\" online: choose the checkpoint of packed weights");
  }
  const bool divides = config.text("linear_class", "bitlinear") != "autobitlinear";
  constexpr std::array<uint32_t, 4> quarters = {0, 2, 4, 6};
  constexpr uint32_t mask = 3;
  const array places = mx::from_data(std::span<const uint32_t>(quarters), {4, 1, 1});
  for (const std::string& path : paths_with(tensors, ".weight_scale")) {
    const array packed = extract_matrix(tensors, path + ".weight");
    const array scale = extract_number(tensors, path + ".weight_scale");
    const int in_dims = packed.dim(1);
    const int group_size = widest_group(in_dims, path);
    const array shifted = mx::right_shift(mx::expand_dims(packed, 0), places);
    const array rows = mx::bitwise_and(shifted, mx::from_data(std::span(&mask, 1)));
    const array weight = pack(mx::reshape(rows, {4 * packed.dim(0), in_dims}), 2);
    const array scales = mx::broadcast_to(
        divides ? mx::reciprocal(scale) : scale, {weight.dim(0), in_dims / group_size});
    put_affine(tensors, path, weight, mx::contiguous(scales), mx::scalar(1.0f, mx::float32));
  }
}

// ---- FP8 ------------------------------------------------------------------------------------

/// A scale for each number of a matrix (out, in), out of one for each block.
array spread_blocks(
    const array& scales, const std::vector<int>& block, const array& matrix,
    const std::string& scales_name) {
  check_floating(scales, scales_name);  // 8 bits would be exponents
  array spread = scales;
  for (const int axis : {0, 1}) {
    const int size = matrix.dim(axis);
    const int length = std::min(block[static_cast<size_t>(axis)], size);
    if (scales.dim(axis) != (size - 1) / length + 1) {
      throw EngineError(
          "tensor_shape", "tensor " + scales_name + " must hold one number for each block");
    }
    spread = mx::slice(mx::repeat(spread, length, axis), axis, 0, size);
  }
  return spread;
}

/// weight (out, in) of 8-bit floats times weight_scale_inv (out / block, in / block), or one for
/// the whole matrix where the checkpoint has no blocks.
void adopt_fp8(const Config& config, Tensors& tensors) {
  const std::vector<int> block = config.counts("weight_block_size");
  const bool has_blocks = !block.empty();
  if (has_blocks && (block.size() != 2 || block[0] < 1 || block[1] < 1)) {
    refuse("of fp8 must have a \"weight_block_size\" of two numbers");
  }
  for (const std::string& path : paths_with(tensors, ".weight_scale_inv")) {
    const std::string scales_name = path + ".weight_scale_inv";
    const array packed = extract_matrix(tensors, path + ".weight");
    if (packed.dtype() != mx::uint8) {
      throw EngineError("tensor_shape", "tensor " + path + ".weight must hold 8-bit floats");
    }
    const array scales =
        has_blocks ? spread_blocks(extract_matrix(tensors, scales_name), block, packed, scales_name)
                   : extract_number(tensors, scales_name);
    const array weight = mx::from_fp8(packed, mx::float32) * mx::astype(scales, mx::float32);
    tensors.insert_or_assign(path + ".weight", mx::astype(weight, mx::bfloat16));
  }
  drop(tensors, ".activation_scale");
}

using Adopter = void (*)(const Config&, Tensors&);

const std::map<std::string, Adopter> adopters = {
    {"awq", adopt_awq}, {"bitnet", adopt_bitnet}, {"compressed-tensors", adopt_compressed_tensors},
    {"fp8", adopt_fp8}, {"gptq", adopt_gptq},     {"modelopt", adopt_modelopt},
};

}  // namespace

void adopt_foreign_quantization(const Config& quantization_config, Tensors& tensors) {
  const auto adopter = adopters.find(quantization_config.text("quant_method", ""));
  if (adopter != adopters.end()) adopter->second(quantization_config, tensors);
}
