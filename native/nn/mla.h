#pragma once

#include <optional>
#include <string>

#include "mlx/ops.h"
#include "nn/kv_cache.h"
#include "nn/linear.h"
#include "nn/norm.h"

/// Multi-head latent attention, https://arxiv.org/abs/2405.04434: the cache keeps one short latent
/// for each token, of which the keys and values of all heads can be made, and one rotated key that
/// all heads share.

/// The sizes of latent attention under the names of config.json.
struct LatentDims {
  int num_attention_heads;
  int kv_lora_rank;      // of a latent
  int qk_nope_head_dim;  // of queries and keys, made of latents
  int qk_rope_head_dim;  // of queries and keys, rotated
  int v_head_dim;

  int q_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
};

/// Refuses sizes that no attention can be built from ("bad_config").
void check_latent_dims(const LatentDims& dims);

/// One matrix for each head.
class MultiLinear {
 public:
  MultiLinear(
      Weights& weights, const std::string& path, int input_dims, int output_dims, int num_heads)
      : matrix_(weights, path, num_heads, input_dims, output_dims) {}

  /// (B, heads or 1, L, input) → (B, heads, L, output)
  mx::array operator()(const mx::array& x) const { return matrix_(x); }
  /// Times the matrices that are not transposed: (B, heads or 1, L, output) → (B, heads, L, input)
  mx::array transposed(const mx::array& x) const;

 private:
  Matrix matrix_;
};

/// Queries, projected in one step, or in two with a narrow place between them.
class LatentQueries {
 public:
  /// `q_lora_rank` is the width of the narrow place, 0 if there is none.
  LatentQueries(
      Weights& weights, const std::string& path, int hidden_size, int q_lora_rank,
      const LatentDims& dims, bool has_bias, float norm_eps);

  /// (B · L, D) → (B · L, heads · q_head_dim)
  mx::array operator()(const mx::array& x) const;

 private:
  std::optional<Linear> q_proj_, q_a_proj_, q_b_proj_;
  std::optional<RMSNorm> q_a_layernorm_;
};

/// Keeps latents in the place of keys, and rotated keys in the place of values.
class LatentCache : public KVCache {
 public:
  /// Packs the latents only: rotated keys are short, and each number matters more.
  void quantize(const KVQuantization& quantization) override { keys_.quantize(quantization); }
  /// Never by name, for the scores that it is applied to become a mask themselves.
  Mask make_mask(int length) const override;
  std::unique_ptr<LayerCache> clone() const override {
    return std::make_unique<LatentCache>(*this);
  }
};

class LatentAttention {
 public:
  LatentAttention(Weights& weights, const std::string& path, const LatentDims& dims, float scale);

  /// Queries q_nope (B, heads, L, nope) and q_pe (B, heads, L, rope) over the latents
  /// (B, 1, keys, rank) and rotated keys k_pe (B, 1, keys, rope) of a `LatentCache` →
  /// (B, heads, L, v_head_dim)
  mx::array operator()(
      const mx::array& q_nope, const mx::array& q_pe, const AttentionCache& cache,
      const Mask& mask) const;

 private:
  mx::array attend(
      const mx::array& queries, const mx::array& q_pe, const mx::array& keys,
      const mx::array& values, const mx::array& k_pe, const Mask& mask) const;

  float scale_;
  MultiLinear embed_q_;      // q_nope → latent
  MultiLinear unembed_out_;  // latent → value
};

/// Takes `path.kv_b_proj`, as publishers store it, apart into the matrices of `LatentAttention`.
/// Does nothing where the checkpoint has none.
void split_kv_b_proj(Weights& weights, const std::string& path, const LatentDims& dims);
