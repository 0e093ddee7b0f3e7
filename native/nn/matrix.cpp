#include "nn/matrix.h"

#include <utility>

#include "engine_error.h"
#include "mlx/stream.h"

using mx::array;

namespace {

/// Refuses to cut through the groups of columns that have a scale in common.
void check_groups(const std::string& path, int columns, int group_size, const mx::Group& group) {
  if (columns % (group_size * group.size()) == 0) return;
  throw EngineError(
      "cannot_shard", path + " has " + std::to_string(columns) +
                          " columns, quantized in groups of " + std::to_string(group_size) +
                          ", which " + std::to_string(group.size()) + " processes cannot share");
}

}  // namespace

array scaled(const array& x, const array& scale) {
  return mx::astype(mx::astype(x, mx::float32) * scale, x.dtype());
}

Matrix::Matrix(
    Weights& weights, const std::string& path, int in_dims, int out_dims, Sharding sharding)
    : Matrix(weights, path, mx::Shape{}, in_dims, out_dims, sharding) {}

Matrix::Matrix(
    Weights& weights, const std::string& path, int count, int in_dims, int out_dims,
    Sharding sharding)
    : Matrix(weights, path, mx::Shape{count}, in_dims, out_dims, sharding) {}

Matrix::Matrix(
    Weights& weights, const std::string& path, mx::Shape stack, int in_dims, int out_dims,
    Sharding sharding) {
  // From here on the dimensions are those of the whole matrix, as the checkpoint has it.
  std::optional<int> axis;
  if (sharding == Sharding::all_to_sharded) {
    axis = -2;
    out_dims *= weights.group().size();
  } else if (sharding == Sharding::sharded_to_all) {
    axis = -1;
    in_dims *= weights.group().size();
  }
  const auto shape = [&](int columns) {
    mx::Shape shape = stack;
    shape.insert(shape.end(), {out_dims, columns});
    return shape;
  };
  quantization = weights.quantization(path, in_dims);
  const bool is_packed = quantization.has_value();
  if (!is_packed) quantization = weights.wanted_quantization(path, in_dims);
  if (quantization && axis == -1) {
    check_groups(path, in_dims, quantization->group_size, weights.group());
  }
  if (!is_packed) {
    weight = weights.take(path + ".weight", shape(in_dims), axis);
    if (weight && quantization) quantize(weights, path);
  } else {
    const auto& [group_size, bits, mode] = *quantization;
    const int packed = static_cast<int>(int64_t{in_dims} * bits / 32);
    const mx::Shape groups = shape(in_dims / group_size);
    weight = weights.take_packed(path + ".weight", shape(packed), mx::uint32, axis);
    if (mode == "affine") {
      scales = weights.take(path + ".scales", groups, axis);
      biases = weights.take(path + ".biases", groups, axis);
    } else {
      scales = weights.take_packed(path + ".scales", groups, mx::uint8, axis);
    }
    if (weights.has(path + ".output_scale")) {
      output_scale = weights.take(path + ".output_scale", stack);
    }
    if (weight && scales && weights.dequantizes()) dequantize();
    weights.replace(path, weight, scales, biases, quantization);
  }
  if (weight && !quantization) transpose(weights, path);
}

void Matrix::transpose(Weights& weights, const std::string& path) {
  transposed = mx::swapaxes(weight, -1, -2);
  // In float32 BLAS is faster by a fifth where no operand is to be transposed.
  if (mx::on_gpu() || weight.dtype() != mx::float32) return;
  transposed = mx::contiguous(transposed);
  weight = mx::swapaxes(transposed, -1, -2);
  weights.replace(path, weight, {}, {}, {});
}

void Matrix::quantize(Weights& weights, const std::string& path) {
  const auto& [group_size, bits, mode] = *quantization;
  mx::Quantized parts = mx::quantize(weight, group_size, bits, mode);
  weight = std::move(parts.weight);
  scales = std::move(parts.scales);
  biases = std::move(parts.biases);
  weights.replace(path, weight, scales, biases, quantization);
}

void Matrix::dequantize() {
  weight = rows(weight, scales, biases);
  scales = biases = output_scale = array();
  quantization.reset();
}

array Matrix::rows(const array& weight, const array& scales, const array& biases) const {
  const auto& [group_size, bits, mode] = *quantization;
  const mx::Dtype dtype = biases ? scales.dtype() : mx::bfloat16;
  const array dense = mx::dequantize(weight, scales, biases, group_size, bits, mode, dtype);
  if (!output_scale) return dense;
  return scaled(dense, mx::expand_dims(mx::expand_dims(output_scale, -1), -1));
}

array Matrix::operator()(const array& x) const {
  if (!quantization) return mx::matmul(x, transposed);
  const auto& [group_size, bits, mode] = *quantization;
  const array y = mx::quantized_matmul(x, weight, scales, biases, group_size, bits, mode);
  return output_scale ? scaled(y, output_scale) : y;
}
