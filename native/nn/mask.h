#pragma once

#include <vector>

#include "mlx/ops.h"

class Cache;

/// Which keys each query may look at.
struct Mask {
  int batch = 1;          // rows of the batch
  const char* mode = "";  // "" = all keys, "causal", or "array"
  mx::array allowed;      // (L, keys), or (B, 1, L, keys), booleans when mode is "array"
};

/// The masks of one forward pass by layer; layers that look back alike share one.
class Masks {
 public:
  /// For tokens (B, L) that are about to be appended.
  Masks(const Cache& cache, const mx::array& tokens);

  /// Rows of the batch.
  int batch() const { return batch_; }
  /// The mask of an attention layer.
  const Mask& operator[](size_t layer) const { return masks_[by_layer_[layer]]; }

 private:
  int batch_;
  std::vector<Mask> masks_;
  std::vector<size_t> by_layer_;  // place in `masks_`
};
