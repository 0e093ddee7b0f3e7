#include "nn/attention.h"

#include <limits>
#include <string_view>

#include "nn/activations.h"

using mx::array;

namespace {

/// `mask` for scores (…, L, keys): booleans, empty where every key is allowed.
array allowed_keys(const Mask& mask, int length, int keys) {
  if (std::string_view(mask.mode) != "causal") return mask.allowed;
  return mx::greater_equal(
      mx::expand_dims(mx::arange(keys - length, keys), 1), mx::expand_dims(mx::arange(0, keys), 0));
}

/// Query heads that share keys as the rows of one product: (B, heads, L, D) →
/// (B, kv_heads, heads / kv_heads · L, D)
array grouped(const array& queries, int kv_heads) {
  return mx::reshape(queries, {queries.dim(0), kv_heads, -1, queries.dim(3)});
}

}  // namespace

array scaled_dot_product_attention(
    const array& queries, const array& keys, const array& values, float scale, const Mask& mask,
    const array& sinks) {
  const bool is_plain = queries.dim(2) == 1 && std::string_view(mask.mode).empty() && !sinks;
  if (mx::on_gpu() || !is_plain) {
    return mx::scaled_dot_product_attention(
        queries, keys, values, scale, mask.mode, mask.allowed, sinks);
  }
  // On the CPU MLX repeats keys and values for every query head.
  const array rows = grouped(queries, keys.dim(1)) * scale;
  const array scores = mx::matmul(rows, mx::transpose(keys, {0, 1, 3, 2}));
  const array output = mx::matmul(mx::softmax(scores, -1, /* precise */ true), values);
  return mx::reshape(output, {queries.dim(0), queries.dim(1), 1, -1});
}

array soft_capped_attention(
    const array& queries, const array& keys, const array& values, float scale, float cap,
    const Mask& mask) {
  const int batch = queries.dim(0);
  const int heads = queries.dim(1);
  const int length = queries.dim(2);
  const array rows = grouped(queries * scale, keys.dim(1));
  array scores = softcap(mx::matmul(rows, mx::transpose(keys, {0, 1, 3, 2})), cap);
  if (const array allowed = allowed_keys(mask, length, keys.dim(2))) {
    const array never = mx::scalar(-std::numeric_limits<float>::infinity(), scores.dtype());
    scores = mx::reshape(scores, {batch, heads, length, -1});
    scores = grouped(mx::where(allowed, scores, never), keys.dim(1));
  }
  const array output = mx::matmul(mx::softmax(scores, -1, /* precise */ true), values);
  return mx::reshape(output, {batch, heads, length, -1});
}

array temperature_factors(int first, int length, float beta, int interval) {
  const int end = first + length;
  if (end <= interval) return {};
  const array positions = mx::expand_dims(mx::arange(first, end, 1, mx::float32), 1);
  const array intervals = mx::floor(positions / static_cast<float>(interval));
  return mx::log(intervals + 1.0f) * beta + 1.0f;
}
