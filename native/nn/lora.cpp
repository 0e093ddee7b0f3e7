#include "nn/lora.h"

#include <utility>

#include "engine_error.h"

using mx::array;

namespace {

void check(bool fits, const std::string& path) {
  if (fits) return;
  throw EngineError(
      "tensor_shape", "the adapter's tensors of " + path + " do not fit this model or each other");
}

/// How much longer the magnitudes are than the rows of the matrix with its update: (out)
array relative_length(const LowRank& update, const Matrix& matrix) {
  const array weight = matrix.quantization
                           ? matrix.rows(matrix.weight, matrix.scales, matrix.biases)
                           : matrix.weight;
  const array delta =
      mx::matmul(mx::transpose(update.b, {1, 0}) * update.scale, mx::transpose(update.a, {1, 0}));
  const array adapted = mx::astype(weight, mx::float32) + mx::astype(delta, mx::float32);
  const array norm = mx::sqrt(mx::sum(mx::square(adapted), -1));  // (out, 1)
  return mx::astype(update.magnitude, mx::float32) / mx::squeeze(norm, -1);
}

}  // namespace

void check_low_rank(const LowRank& update, int a_dims, int b_dims, const std::string& path) {
  check(update.a.ndim() == 2 && update.b.ndim() == 2, path);
  check(update.a.dim(0) == a_dims && update.b.dim(1) == b_dims, path);
  check(update.a.dim(1) == update.b.dim(0), path);
}

void check_low_rank(
    const LowRank& update, int num_experts, int in_dims, int out_dims, const std::string& path) {
  check(update.a.ndim() == 3 && update.b.ndim() == 3 && !update.magnitude, path);
  check(update.a.dim(0) == num_experts && update.b.dim(0) == num_experts, path);
  check(update.a.dim(2) == in_dims && update.b.dim(1) == out_dims, path);
  check(update.a.dim(1) == update.b.dim(2), path);
}

std::optional<LoRA> LoRA::of(
    Weights& weights, const std::string& path, const Matrix& matrix, int in_dims, int out_dims) {
  std::optional<LowRank> update = weights.low_rank(path);
  if (!update || !matrix.weight) return std::nullopt;
  check_low_rank(*update, in_dims, out_dims, path);
  if (update->magnitude) check(update->magnitude.dim(0) == out_dims, path);
  return LoRA(std::move(*update), matrix);
}

LoRA::LoRA(LowRank update, const Matrix& matrix) : update_(std::move(update)) {
  if (update_.magnitude) length_ = relative_length(update_, matrix);
}

array LoRA::operator()(const array& x, const array& y) const {
  const array update = mx::matmul(mx::matmul(x, update_.a), update_.b) * update_.scale;
  const array adapted = y + mx::astype(update, x.dtype());
  return length_ ? adapted * mx::astype(length_, x.dtype()) : adapted;
}
