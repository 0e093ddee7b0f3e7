#pragma once

#include "mlx/ops.h"
#include "nn/kv_cache.h"

/// (B, L, heads · D) → (B, heads, L, D)
inline mx::array split_heads(const mx::array& x, int heads) {
  const mx::array split = mx::reshape(x, {x.dim(0), x.dim(1), heads, -1});
  return mx::transpose(split, {0, 2, 1, 3});
}

/// (B, heads, L, D) → (B, L, heads · D)
inline mx::array merge_heads(const mx::array& x) {
  const mx::array rows = mx::transpose(x, {0, 2, 1, 3});
  return mx::reshape(rows, {x.dim(0), x.dim(2), -1});
}

/// Queries (B, heads, L, D) over keys and values (B, kv_heads, keys, D) → (B, heads, L, D)
inline mx::array scaled_dot_product_attention(
    const mx::array& queries, const mx::array& keys, const mx::array& values, float scale,
    const Mask& mask) {
  return mx::scaled_dot_product_attention(queries, keys, values, scale, mask.mode, mask.allowed);
}
