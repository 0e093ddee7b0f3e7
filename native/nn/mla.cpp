#include "nn/mla.h"

#include <cstdint>
#include <limits>

using mx::array;

namespace {

/// The lowest finite number of a type. Minus infinity would make nothing of a row without any key.
array lowest(mx::Dtype dtype) {
  if (dtype == mx::float16) return mx::scalar(-65504.0f, dtype);
  if (dtype == mx::bfloat16) return mx::scalar(-0x1.fep127f, dtype);
  return mx::scalar(std::numeric_limits<float>::lowest(), dtype);
}

/// A stack of matrices under the name of a module, quantized if `quantization` says so.
void put_matrices(
    Weights& weights, const std::string& path, const array& matrices,
    const std::optional<Quantization>& quantization) {
  if (!quantization) return weights.put(path + ".weight", matrices);
  const auto& [group_size, bits, mode] = *quantization;
  const mx::Quantized parts = mx::quantize(matrices, group_size, bits, mode);
  weights.put(path + ".weight", parts.weight);
  weights.put(path + ".scales", parts.scales);
  if (parts.biases) weights.put(path + ".biases", parts.biases);
}

/// The (out, in) matrix of a module, taken out of the checkpoint; empty if a part is missing.
array extract_matrix(
    Weights& weights, const std::string& path, int in_dims, int out_dims,
    const std::optional<Quantization>& quantization) {
  if (!quantization) return weights.extract(path + ".weight", {out_dims, in_dims});
  const auto& [group_size, bits, mode] = *quantization;
  const int packed = static_cast<int>(int64_t{in_dims} * bits / 32);
  const mx::Shape groups{out_dims, in_dims / group_size};
  const bool is_affine = mode == "affine";
  const array weight = weights.extract(path + ".weight", {out_dims, packed});
  const array scales = weights.extract(path + ".scales", groups);
  const array biases = is_affine ? weights.extract(path + ".biases", groups) : array();
  if (is_affine && !biases) return {};
  const mx::Dtype dtype = is_affine ? scales.dtype() : mx::bfloat16;
  return mx::dequantize(weight, scales, biases, group_size, bits, mode, dtype);
}

}  // namespace

void check_latent_dims(const LatentDims& dims) {
  const auto& [heads, rank, nope, rope, value] = dims;
  if (rope % 2 != 0) {
    refuse_config("\"qk_rope_head_dim\" (" + std::to_string(rope) + ") must be even");
  }
  const int64_t widest = int64_t{rank} + nope + rope + value;
  if (widest > most_width || widest * heads > most_width) {
    refuse_config("the attention heads are too large");
  }
}

array MultiLinear::transposed(const array& x) const {
  if (!matrix_.quantization) return mx::matmul(x, matrix_.weight);
  const auto& [group_size, bits, mode] = *matrix_.quantization;
  return mx::quantized_matmul(
      x, matrix_.weight, matrix_.scales, matrix_.biases, group_size, bits, mode,
      /* transpose */ false);
}

LatentQueries::LatentQueries(
    Weights& weights, const std::string& path, int hidden_size, int q_lora_rank,
    const LatentDims& dims, bool has_bias, float norm_eps) {
  const int out_dims = dims.num_attention_heads * dims.q_head_dim();
  if (q_lora_rank == 0) {
    q_proj_.emplace(weights, path + ".q_proj", hidden_size, out_dims);
    return;
  }
  q_a_proj_.emplace(weights, path + ".q_a_proj", hidden_size, q_lora_rank, has_bias);
  q_a_layernorm_.emplace(weights, path + ".q_a_layernorm", q_lora_rank, norm_eps);
  q_b_proj_.emplace(weights, path + ".q_b_proj", q_lora_rank, out_dims);
}

array LatentQueries::operator()(const array& x) const {
  return q_proj_ ? (*q_proj_)(x) : (*q_b_proj_)((*q_a_layernorm_)((*q_a_proj_)(x)));
}

Mask LatentCache::make_mask(int length) const {
  if (length == 1 && !lag_) return {};
  return {.mode = "array", .allowed = allowed(length)};
}

LatentAttention::LatentAttention(
    Weights& weights, const std::string& path, const LatentDims& dims, float scale)
    : scale_(scale),
      embed_q_(
          weights, path + ".embed_q", dims.qk_nope_head_dim, dims.kv_lora_rank,
          dims.num_attention_heads),
      unembed_out_(
          weights, path + ".unembed_out", dims.kv_lora_rank, dims.v_head_dim,
          dims.num_attention_heads) {}

array LatentAttention::operator()(
    const array& q_nope, const array& q_pe, const AttentionCache& cache, const Mask& mask) const {
  const array kv_latent = cache.keys().dense();
  const array k_pe = cache.values().dense();
  if (q_nope.dim(2) > 1) {
    const array keys = embed_q_.transposed(kv_latent);  // (B, heads, keys, nope)
    const array values = unembed_out_(kv_latent);       // (B, heads, keys, v)
    return attend(q_nope, q_pe, keys, values, k_pe, mask);
  }
  // One token had better look at the latents than unfold them all. Its heads share them, and so are
  // like as many tokens of one head.
  const array queries = mx::swapaxes(embed_q_(q_nope), 1, 2);  // (B, 1, heads, rank)
  const array output = attend(queries, mx::swapaxes(q_pe, 1, 2), kv_latent, kv_latent, k_pe, mask);
  return unembed_out_(mx::swapaxes(output, 1, 2));
}

array LatentAttention::attend(
    const array& queries, const array& q_pe, const array& keys, const array& values,
    const array& k_pe, const Mask& mask) const {
  array scores = mx::matmul(q_pe * scale_, mx::swapaxes(k_pe, -1, -2));  // (B, heads, L, keys)
  if (mask.allowed) scores = mx::where(mask.allowed, scores, lowest(scores.dtype()));
  return mx::scaled_dot_product_attention(queries, keys, values, scale_, "array", scores);
}

void split_kv_b_proj(Weights& weights, const std::string& path, const LatentDims& dims) {
  const auto& [heads, rank, nope, rope, value] = dims;
  const std::string kv_b_proj = path + ".kv_b_proj";
  if (!weights.has(kv_b_proj + ".weight")) return;
  const auto quantization = weights.quantization(kv_b_proj, rank);
  const array both = extract_matrix(weights, kv_b_proj, rank, heads * (nope + value), quantization);
  if (!both) return;
  const array by_head = mx::reshape(both, {heads, nope + value, rank});
  const array keys = mx::swapaxes(mx::slice(by_head, 1, 0, nope), -1, -2);  // (heads, rank, nope)
  const array values = mx::slice(by_head, 1, nope, nope + value);           // (heads, v, rank)
  put_matrices(weights, path + ".embed_q", mx::contiguous(keys), quantization);
  put_matrices(weights, path + ".unembed_out", mx::contiguous(values), quantization);
}
