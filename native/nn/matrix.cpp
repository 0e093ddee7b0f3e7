#include "nn/matrix.h"

#include <utility>

using mx::array;

array scaled(const array& x, const array& scale) {
  return mx::astype(mx::astype(x, mx::float32) * scale, x.dtype());
}

Matrix::Matrix(Weights& weights, const std::string& path, int in_dims, int out_dims)
    : Matrix(weights, path, mx::Shape{}, in_dims, out_dims) {}

Matrix::Matrix(Weights& weights, const std::string& path, int count, int in_dims, int out_dims)
    : Matrix(weights, path, mx::Shape{count}, in_dims, out_dims) {}

Matrix::Matrix(
    Weights& weights, const std::string& path, mx::Shape stack, int in_dims, int out_dims)
    : quantization(weights.quantization(path, in_dims)) {
  const auto shape = [&](int columns) {
    mx::Shape shape = stack;
    shape.insert(shape.end(), {out_dims, columns});
    return shape;
  };
  if (!quantization) {
    weight = weights.take(path + ".weight", shape(in_dims));
    quantization = weights.wanted_quantization(path, in_dims);
    if (weight && quantization) quantize(weights, path);
  } else {
    const auto& [group_size, bits, mode] = *quantization;
    const int packed = static_cast<int>(int64_t{in_dims} * bits / 32);
    const mx::Shape groups = shape(in_dims / group_size);
    weight = weights.take_packed(path + ".weight", shape(packed), mx::uint32);
    if (mode == "affine") {
      scales = weights.take(path + ".scales", groups);
      biases = weights.take(path + ".biases", groups);
    } else {
      scales = weights.take_packed(path + ".scales", groups, mx::uint8);
    }
    if (weights.has(path + ".output_scale")) {
      output_scale = weights.take(path + ".output_scale", stack);
    }
    if (weight && scales && weights.dequantizes()) dequantize();
    weights.replace(path, weight, scales, biases, quantization);
  }
  if (weight && !quantization) transposed = mx::swapaxes(weight, -1, -2);
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
