#pragma once

#include <initializer_list>
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
  mx::array eps_sum_;     // D · eps, (1, 1)
  mx::array weight_row_;  // √D · weight, (1, D)
};

/// An RMSNorm whose weights are stored as their distance from one, as Gemma's are.
RMSNorm gemma_norm(Weights& weights, const std::string& path, int dims, float eps);

/// Adds one to the norms whose names end so, of a checkpoint that stores their distance from one
/// where mlx-lm's stores themselves.
void add_one(Weights& weights, std::initializer_list<const char*> name_ends);

/// (x − mean) / deviation · weight + bias over the last axis.
class LayerNorm {
 public:
  LayerNorm(Weights& weights, const std::string& path, int dims, float eps, bool has_bias = true)
      : weight_(weights.take(path + ".weight", {dims})), eps_(eps) {
    if (has_bias) bias_ = weights.take(path + ".bias", {dims});
  }

  mx::array operator()(const mx::array& x) const { return mx::layer_norm(x, weight_, bias_, eps_); }

 private:
  mx::array weight_;  // (D)
  mx::array bias_;    // (D), empty without bias
  float eps_;
};
