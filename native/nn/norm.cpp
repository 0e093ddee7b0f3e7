#include "nn/norm.h"

#include <algorithm>
#include <cmath>

using mx::array;

RMSNorm::RMSNorm(array weight, float eps) : weight_(std::move(weight)), eps_(eps) {
  if (!weight_) return;  // missing, and noted as such
  const float dims = static_cast<float>(weight_.dim(0));
  const float eps_sum = dims * eps_;
  eps_sum_ = mx::from_data(std::span<const float>(&eps_sum, 1), {1, 1});
  weight_row_ = mx::expand_dims(mx::astype(weight_, mx::float32) * std::sqrt(dims), 0);
}

array RMSNorm::operator()(const array& x) const {
  // A decoded token's: one row, or one for each head.
  const bool is_row = x.ndim() == 2 && x.dim(0) == 1;
  const bool is_token = is_row || (x.ndim() == 4 && x.dim(2) == 1);
  if (mx::on_gpu() || !is_token || x.dtype() != mx::float32) {
    return mx::rms_norm(x, weight_, eps_);
  }
  // On the CPU MLX records eleven small ops for its kernel, where six will do. The sum of squares
  // of one row is a product.
  const array squares = is_row ? mx::addmm(eps_sum_, x, mx::transpose(x, {1, 0}))
                               : mx::sum(mx::square(x), -1) + eps_sum_;
  return x * mx::rsqrt(squares) * weight_row_;
}

RMSNorm gemma_norm(Weights& weights, const std::string& path, int dims, float eps) {
  const array distance = weights.take(path + ".weight", {dims});
  return RMSNorm(distance ? distance + 1.0f : distance, eps);
}

void add_one(Weights& weights, std::initializer_list<const char*> name_ends) {
  for (const std::string& name : weights.names()) {
    const bool is_meant =
        std::ranges::any_of(name_ends, [&](const char* end) { return name.ends_with(end); });
    if (is_meant) weights.put(name, weights.extract(name) + 1.0f);
  }
}
