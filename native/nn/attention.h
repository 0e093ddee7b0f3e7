#pragma once

#include "mlx/ops.h"
#include "nn/kv_cache.h"

/// (B · L, heads · D) → (B, heads, L, D)
inline mx::array split_heads(const mx::array& x, int batch, int heads) {
  const int length = x.dim(0) / batch;
  const int head_dim = x.dim(1) / heads;
  // With one token the order of both axes is the same.
  if (length == 1) return mx::reshape(x, {batch, heads, 1, head_dim});
  return mx::transpose(mx::reshape(x, {batch, length, heads, head_dim}), {0, 2, 1, 3});
}

/// (B, heads, L, D) → (B · L, heads · D)
inline mx::array merge_heads(const mx::array& x) {
  const int rows = x.dim(0) * x.dim(2);
  if (x.dim(2) == 1) return mx::reshape(x, {rows, -1});
  return mx::reshape(mx::transpose(x, {0, 2, 1, 3}), {rows, -1});
}

/// Queries (B, heads, L, D) over keys (B, kv_heads, keys, D) and values (B, kv_heads, keys, V) →
/// (B, heads, L, V). `sinks` (heads) are logits that take part in the softmax and have no value.
mx::array scaled_dot_product_attention(
    const mx::array& queries, const mx::array& keys, const mx::array& values, float scale,
    const Mask& mask, const mx::array& sinks = mx::array());

/// The same over what a cache keeps, which may be quantized.
mx::array scaled_dot_product_attention(
    const mx::array& queries, const AttentionCache& cache, float scale, const Mask& mask,
    const mx::array& sinks = mx::array());

/// The same with every score held within (−cap, cap), for which MLX has no kernel.
mx::array soft_capped_attention(
    const mx::array& queries, const AttentionCache& cache, float scale, float cap,
    const Mask& mask);

/// Llama 4's factors of queries, which sharpen attention far into a text: 1 + beta · log(1 +
/// ⌊position / interval⌋), (length, 1) or (B, 1, length, 1) in float32 for as many positions. Empty
/// where all are 1.
mx::array temperature_factors(const Positions& positions, int length, float beta, int interval);
