#include "nn/linear.h"

using mx::array;

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
    if (weight) transposed = mx::swapaxes(weight, -1, -2);
    return;
  }
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
}

array Matrix::operator()(const array& x) const {
  if (!quantization) return mx::matmul(x, transposed);
  const auto& [group_size, bits, mode] = *quantization;
  return mx::quantized_matmul(x, weight, scales, biases, group_size, bits, mode);
}

Linear::Linear(Weights& weights, const std::string& path, int in_dims, int out_dims, bool has_bias)
    : matrix_(weights, path, in_dims, out_dims) {
  if (has_bias) bias_ = weights.take(path + ".bias", {out_dims});
}

array Linear::operator()(const array& x) const {
  if (!bias_) return matrix_(x);
  if (!matrix_.quantization) return mx::addmm(bias_, x, matrix_.transposed);
  return matrix_(x) + bias_;
}

Embedding::Embedding(Weights& weights, const std::string& path, int vocab_size, int dims)
    : matrix_(weights, path, dims, vocab_size) {}

array Embedding::operator()(const array& tokens) const {
  const array ids = mx::reshape(tokens, {-1});
  const array rows = mx::take(matrix_.weight, ids, 0);
  if (!matrix_.quantization) return rows;
  const auto& [group_size, bits, mode] = *matrix_.quantization;
  const array scales = mx::take(matrix_.scales, ids, 0);
  const array biases = matrix_.biases ? mx::take(matrix_.biases, ids, 0) : array();
  const mx::Dtype dtype = matrix_.biases ? scales.dtype() : mx::bfloat16;
  return mx::dequantize(rows, scales, biases, group_size, bits, mode, dtype);
}
