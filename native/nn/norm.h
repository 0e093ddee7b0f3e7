#pragma once

#include <string>

#include "mlx/ops.h"
#include "weights.h"

/// x / rms(x) · weight over the last axis.
class RMSNorm {
 public:
  RMSNorm(Weights& weights, const std::string& path, int dims, float eps)
      : weight_(weights.take(path + ".weight", {dims})), eps_(eps) {}

  mx::array operator()(const mx::array& x) const { return mx::rms_norm(x, weight_, eps_); }

 protected:
  mx::array weight_;  // (D)
  float eps_;
};
