#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "config.h"
#include "mlx/ops.h"
#include "nn/rope_scaling.h"

/// Rotary position embedding of the first `dims` numbers of the last axis of (B, heads, L, D).
/// Copies share what they have computed for the current position, so give the layers of a model
/// copies of one.
class RoPE {
 public:
  /// `scaling` is the checkpoint's `rope_scaling` object, or null; see `RopeScaling`.
  RoPE(
      int dims, float base, bool traditional = false, const Config& scaling = Config(),
      int max_position_embeddings = 0)
      : RoPE(RopeScaling(dims, base, scaling, max_position_embeddings), traditional) {}
  RoPE(RopeScaling scaling, bool traditional);

  /// Turns queries and keys, whose first token stands at `offset`.
  std::pair<mx::array, mx::array> operator()(
      const mx::array& queries, const mx::array& keys, int offset) const;
  /// Turns one of them, or both where their heads lie in one array.
  mx::array operator()(const mx::array& x, int offset) const;

 private:
  /// Cosines and signed sines of the tokens from `offset` on, (L, D) each.
  struct Rotation {
    int offset = 0;
    int length = 0;  // 0 before the first use
    int width = 0;   // D
    mx::Dtype dtype = mx::float32;
    mx::array cosines;
    mx::array sines;
  };

  bool is_left_to_mlx() const;
  mx::array turn(const mx::array& x, int offset) const;
  const Rotation& rotation(int offset, int length, int width, mx::Dtype dtype) const;

  RopeScaling scaling_;
  bool traditional_;
  mx::array inverse_freqs_;  // (dims / 2), empty where the base depends on the length
  std::shared_ptr<Rotation> rotation_ = std::make_shared<Rotation>();
};
