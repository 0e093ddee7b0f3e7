#pragma once

#include <string>

#include "mlx/ops.h"
#include "weights.h"

/// x / rms(x) · weight over the last axis.
class RMSNorm {
 public:
  RMSNorm(Weights& weights, const std::string& path, int dims, float eps)
      : RMSNorm(weights.take(path + ".weight", {dims}), eps) {}
  RMSNorm(mx::array weight, float eps);

  mx::array operator()(const mx::array& x) const;

 private:
  mx::array weight_;  // (D)
  float eps_;
  mx::array weight_row_;  // (1, D)
  mx::array eps_matrix_;  // (1, 1)
};
