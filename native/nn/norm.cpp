#include "nn/norm.h"

using mx::array;

RMSNorm::RMSNorm(array weight, float eps) : weight_(std::move(weight)), eps_(eps) {
  if (!weight_) return;  // missing, and noted as such
  weight_row_ = mx::expand_dims(weight_, 0);
  eps_matrix_ = mx::from_data(std::span<const float>(&eps_, 1), {1, 1});
}

array RMSNorm::operator()(const array& x) const {
  const bool is_row = x.ndim() == 2 && x.dim(0) == 1 && x.dtype() == mx::float32;
  if (mx::on_gpu() || !is_row) return mx::rms_norm(x, weight_, eps_);
  // On the CPU MLX records eleven small ops for its kernel. For the one row of a decoded token the
  // mean square is a product, and six will do.
  const float per_element = 1.0f / static_cast<float>(x.dim(1));
  const array mean_square = mx::addmm(eps_matrix_, x, mx::transpose(x, {1, 0}), per_element);
  return x * mx::rsqrt(mean_square) * weight_row_;
}

RMSNorm gemma_norm(Weights& weights, const std::string& path, int dims, float eps) {
  const array distance = weights.take(path + ".weight", {dims});
  return RMSNorm(distance ? distance + 1.0f : distance, eps);
}
