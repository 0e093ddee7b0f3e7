#include "nn/attention.h"

#include <limits>

#include "nn/activations.h"

using mx::array;

namespace {

/// Query heads that share keys as the rows of one product: (B, heads, L, D) →
/// (B, kv_heads, heads / kv_heads · L, D)
array grouped(const array& queries, int kv_heads) {
  return mx::reshape(queries, {queries.dim(0), kv_heads, -1, queries.dim(3)});
}

/// The weights of keys from scores (B, kv_heads, heads / kv_heads · L, keys).
array softmax_allowed(array scores, const array& allowed, int heads, int length) {
  if (allowed) {
    const int kv_heads = scores.dim(1);
    const array never = mx::scalar(-std::numeric_limits<float>::infinity(), scores.dtype());
    scores = mx::reshape(scores, {scores.dim(0), heads, length, -1});
    scores = grouped(mx::where(allowed, scores, never), kv_heads);
  }
  return mx::softmax(scores, -1, /* precise */ true);
}

array quantized_attention(
    const array& queries, const KeptTokens& keys, const KeptTokens& values, float scale,
    const array& allowed) {
  const auto& [group_size, bits] = *keys.quantization();
  const auto times = [&](const array& x, const KeptTokens& kept, bool transposed) {
    const auto parts = kept.parts();
    return mx::quantized_matmul(
        x, parts[0], parts[1], parts[2], group_size, bits, KeptTokens::mode, transposed);
  };
  const array rows = grouped(queries * scale, keys.parts()[0].dim(1));
  const array scores = times(rows, keys, true);
  const array weights = softmax_allowed(scores, allowed, queries.dim(1), queries.dim(2));
  const array output = times(weights, values, false);
  return mx::reshape(output, {queries.dim(0), queries.dim(1), queries.dim(2), -1});
}

}  // namespace

array scaled_dot_product_attention(
    const array& queries, const array& keys, const array& values, float scale, const Mask& mask,
    const array& sinks) {
  if (mx::on_gpu() || queries.dim(2) > 1 || sinks) {
    return mx::scaled_dot_product_attention(
        queries, keys, values, scale, mask.mode, mask.allowed, sinks);
  }
  // On the CPU MLX repeats keys and values for every query head.
  const array rows = grouped(queries, keys.dim(1)) * scale;
  const array scores = mx::matmul(rows, mx::transpose(keys, {0, 1, 3, 2}));
  const array weights = softmax_allowed(scores, mask.allowed, queries.dim(1), 1);
  return mx::reshape(mx::matmul(weights, values), {queries.dim(0), queries.dim(1), 1, -1});
}

array scaled_dot_product_attention(
    const array& queries, const AttentionCache& cache, float scale, const Mask& mask,
    const array& sinks) {
  const KeptTokens keys = cache.keys();
  const KeptTokens values = cache.values();
  // Many queries had better have a fused kernel than packed keys, and only that one knows sinks.
  if (keys.quantization() && queries.dim(2) == 1 && !sinks) {
    return quantized_attention(queries, keys, values, scale, mask.allowed);
  }
  return scaled_dot_product_attention(queries, keys.dense(), values.dense(), scale, mask, sinks);
}

array soft_capped_attention(
    const array& queries, const AttentionCache& cache, float scale, float cap, const Mask& mask) {
  const array keys = cache.keys().dense();
  const int length = queries.dim(2);
  const array rows = grouped(queries * scale, keys.dim(1));
  const array scores = softcap(mx::matmul(rows, mx::transpose(keys, {0, 1, 3, 2})), cap);
  const array allowed = allowed_keys(mask, length, keys.dim(2));
  const array weights = softmax_allowed(scores, allowed, queries.dim(1), length);
  const array output = mx::matmul(weights, cache.values().dense());
  return mx::reshape(output, {queries.dim(0), queries.dim(1), length, -1});
}

array temperature_factors(const Positions& positions, int length, float beta, int interval) {
  if (positions.longest() + length <= interval) return {};
  const array columns = mx::expand_dims(positions.range(length, mx::float32), -1);
  const array intervals = mx::floor(columns / static_cast<float>(interval));
  return mx::log(intervals + 1.0f) * beta + 1.0f;
}
