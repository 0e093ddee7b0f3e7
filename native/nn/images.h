#pragma once

#include <span>

#include "mlx/ops.h"

/// An image among tokens: where it begins, and what stands in the place of its tokens.
struct SeenImage {
  int start;
  mx::array features;  // (tokens, D)

  int stop() const { return start + features.dim(0); }
};

/// Vectors of tokens (L, D), with those of images in their places.
mx::array with_images(const mx::array& vectors, std::span<const SeenImage> images);

/// Which keys of `length` tokens come later than a query and belong to its image: (L, L) booleans.
mx::array later_in_image(int length, std::span<const SeenImage> images);
