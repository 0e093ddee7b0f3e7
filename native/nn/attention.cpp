#include "nn/attention.h"

#include <string_view>

using mx::array;

array scaled_dot_product_attention(
    const array& queries, const array& keys, const array& values, float scale, const Mask& mask,
    const array& sinks) {
  const int batch = queries.dim(0);
  const int heads = queries.dim(1);
  const int kv_heads = keys.dim(1);
  const bool is_plain = queries.dim(2) == 1 && std::string_view(mask.mode).empty() && !sinks;
  if (mx::on_gpu() || !is_plain) {
    return mx::scaled_dot_product_attention(
        queries, keys, values, scale, mask.mode, mask.allowed, sinks);
  }
  // On the CPU MLX repeats keys and values for every query head. The heads that share them are as
  // well the rows of one product.
  const array rows = mx::reshape(queries, {batch, kv_heads, heads / kv_heads, -1}) * scale;
  const array scores = mx::matmul(rows, mx::transpose(keys, {0, 1, 3, 2}));
  const array output = mx::matmul(mx::softmax(scores, -1, /* precise */ true), values);
  return mx::reshape(output, {batch, heads, 1, -1});
}
