#pragma once

#include <span>
#include <vector>

#include "mlx/ops.h"
#include "nn/images.h"

class Cache;

/// Which keys each query may look at.
struct Mask {
  int batch = 1;          // rows of the batch
  const char* mode = "";  // "" = all keys, "causal", or "array"
  mx::array allowed;      // (L, keys), or (B, 1, L, keys), booleans when mode is "array"
};

/// `mask` for scores (…, L, keys): booleans, empty where every key is allowed.
mx::array allowed_keys(const Mask& mask, int length, int keys);

/// The masks of one forward pass by layer; layers that look back alike share one.
class Masks {
 public:
  /// For tokens (B, L) that are about to be appended. Those of an image look at all of it; such
  /// tokens have no other rows beside them.
  Masks(const Cache& cache, const mx::array& tokens, std::span<const SeenImage> images = {});

  /// Rows of the batch.
  int batch() const { return batch_; }
  /// The mask of an attention layer.
  const Mask& operator[](size_t layer) const { return masks_[by_layer_[layer]]; }

 private:
  int batch_;
  std::vector<Mask> masks_;
  std::vector<size_t> by_layer_;  // place in `masks_`
};
