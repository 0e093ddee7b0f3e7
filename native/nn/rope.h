#pragma once

#include <optional>

#include "config.h"
#include "mlx/ops.h"

/// Rotary position embedding of the last axis of (B, heads, L, D).
class RoPE {
 public:
  /// `scaling` is the checkpoint's `rope_scaling` object, or null: kinds default, linear, llama3.
  RoPE(int dims, float base, bool traditional = false, const Config& scaling = Config());

  mx::array operator()(const mx::array& x, int offset) const {
    return mx::rope(x, dims_, traditional_, base_, scale_, offset, freqs_);
  }

 private:
  int dims_;
  bool traditional_;
  std::optional<float> base_;
  float scale_ = 1.0f;
  mx::array freqs_;  // (D / 2) wavelengths over 2π; empty where the base says it all
};

/// `rope_scaling` of a config, wherever this checkpoint keeps it (transformers 5 nests it, with
/// `rope_theta`, under `rope_parameters`).
const Config& rope_scaling(const Config& config);
float rope_theta(const Config& config, float fallback);
