#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "config.h"
#include "mlx/ops.h"
#include "nn/positions.h"
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

  /// Turns queries and keys, whose first tokens stand at `offset`.
  std::pair<mx::array, mx::array> operator()(
      const mx::array& queries, const mx::array& keys, const Positions& offset) const;
  /// Turns one of them, or both where their heads lie in one array.
  mx::array operator()(const mx::array& x, const Positions& offset) const;

 private:
  /// Cosines and signed sines of the tokens from `offset` on, (L, D) each, or (B, 1, L, D) where
  /// rows differ.
  struct Rotation {
    Positions offset = Positions(0);
    int length = 0;  // 0 before the first use
    int width = 0;   // D
    mx::Dtype dtype = mx::float32;
    mx::array cosines;
    mx::array sines;
  };

  bool is_left_to_mlx() const;
  mx::array turn(const mx::array& x, const Positions& offset) const;
  mx::array turn_by_mlx(const mx::array& x, const Positions& offset) const;
  const Rotation& rotation(const Positions& offset, int length, int width, mx::Dtype dtype) const;

  RopeScaling scaling_;
  bool traditional_;
  mx::array inverse_freqs_;  // (dims / 2), empty where the base depends on the length
  std::shared_ptr<Rotation> rotation_ = std::make_shared<Rotation>();
};
