#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "config.h"
#include "mlx/ops.h"

/// Rotary position embedding of the last axis of (B, heads, L, D). Copies share what they have
/// computed for the current position, so give the layers of a model copies of one.
class RoPE {
 public:
  /// `scaling` is the checkpoint's `rope_scaling` object, or null: kinds default, linear, llama3.
  RoPE(int dims, float base, bool traditional = false, const Config& scaling = Config());

  /// Turns queries and keys, whose first token stands at `offset`.
  std::pair<mx::array, mx::array> operator()(
      const mx::array& queries, const mx::array& keys, int offset) const;

 private:
  mx::array fused(const mx::array& x, int offset) const;

  /// Cosines and signed sines of the tokens from `offset` on, (L, D) each.
  struct Rotation {
    int offset = 0;
    int length = 0;  // 0 before the first use
    mx::Dtype dtype = mx::float32;
    mx::array cosines;
    mx::array sines;
  };

  const Rotation& rotation(int offset, int length, mx::Dtype dtype) const;

  int dims_;
  bool traditional_;
  std::optional<float> base_;
  float scale_ = 1.0f;
  mx::array freqs_;          // (D / 2) wavelengths over 2π; empty where the base says it all
  mx::array inverse_freqs_;  // (D / 2)
  std::shared_ptr<Rotation> rotation_ = std::make_shared<Rotation>();
};

/// `rope_scaling` of a config, wherever this checkpoint keeps it (transformers 5 nests it, with
/// `rope_theta`, under `rope_parameters`).
const Config& rope_scaling(const Config& config);
float rope_theta(const Config& config, float fallback);
