// StableLM 3B, StableLM 2 and Stable Code: https://arxiv.org/abs/2402.17834

#include <cmath>
#include <optional>
#include <tuple>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"

namespace {

using mx::array;

struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int intermediate_size;
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  int vocab_size;
  float layer_norm_eps;
  bool use_qkv_bias;
  bool use_parallel_residual;
  bool qk_layernorm;
  float rope_theta;
  int rope_dims;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(hidden_size / num_attention_heads),
        vocab_size(config.positive("vocab_size")),
        layer_norm_eps(config.positive_number("layer_norm_eps")),
        use_qkv_bias(config.boolean("use_qkv_bias", false)),
        use_parallel_residual(config.boolean("use_parallel_residual", false)),
        qk_layernorm(config.boolean("qk_layernorm", false)),
        rope_theta(::rope_theta(config)),
        rope_dims(rotary_dims(config, head_dim)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
  }
};

/// A norm of its own for each head of (B, heads, L, D).
class LayerNormPerHead {
 public:
  LayerNormPerHead(Weights& weights, const std::string& path, int heads, int head_dim, float eps)
      : eps_(eps) {
    std::vector<array> rows;
    for (int i = 0; i < heads; i++) {
      array row = weights.take(path + ".norms." + std::to_string(i) + ".weight", {head_dim});
      if (row) rows.push_back(std::move(row));
    }
    if (rows.empty()) return;  // missing, and noted as such
    weight_ = mx::reshape(mx::concatenate(rows, 0), {-1, 1, head_dim});
  }

  array operator()(const array& x) const {
    return weight_ * mx::layer_norm(x, array(), array(), eps_);
  }

 private:
  array weight_;  // (heads, 1, D)
  float eps_;
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
        q_proj_(
            weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim,
            args.use_qkv_bias),
        k_proj_(
            weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            args.use_qkv_bias),
        v_proj_(
            weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            args.use_qkv_bias),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        rope_(rope) {
    if (!args.qk_layernorm) return;
    const float eps = args.layer_norm_eps;
    q_layernorm_.emplace(weights, path + ".q_layernorm", n_heads_, args.head_dim, eps);
    k_layernorm_.emplace(weights, path + ".k_layernorm", n_kv_heads_, args.head_dim, eps);
  }

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);
    if (q_layernorm_) queries = (*q_layernorm_)(queries);
    if (k_layernorm_) keys = (*k_layernorm_)(keys);

    std::tie(queries, keys) = rope_(queries, keys, cache.offset());
    cache.append(keys, values);

    // As in mlx-lm, scores are float32 whatever the weights are.
    queries = mx::astype(queries, mx::float32);
    keys = mx::astype(keys, mx::float32);
    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(mx::astype(merge_heads(output), x.dtype()));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  RoPE rope_;
  std::optional<LayerNormPerHead> q_layernorm_, k_layernorm_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : gate_proj_(weights, path + ".gate_proj", args.hidden_size, args.intermediate_size),
        down_proj_(weights, path + ".down_proj", args.intermediate_size, args.hidden_size),
        up_proj_(weights, path + ".up_proj", args.hidden_size, args.intermediate_size) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, down_proj_, up_proj_;
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : self_attn_(args, weights, path + ".self_attn", rope),
        mlp_(args, weights, path + ".mlp"),
        input_layernorm_(
            weights, path + ".input_layernorm", args.hidden_size, args.layer_norm_eps) {
    if (args.use_parallel_residual) return;
    post_attention_layernorm_.emplace(
        weights, path + ".post_attention_layernorm", args.hidden_size, args.layer_norm_eps);
  }

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = input_layernorm_(x);
    const array r = x + self_attn_(h, mask, cache);
    return r + mlp_(post_attention_layernorm_ ? (*post_attention_layernorm_)(r) : h);
  }

 private:
  Attention self_attn_;
  MLP mlp_;
  LayerNorm input_layernorm_;
  std::optional<LayerNorm> post_attention_layernorm_;  // none where the MLP reads the same input
};

class StableLM : public Model {
 public:
  StableLM(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.layer_norm_eps),
        lm_head_(weights, "lm_head", args.hidden_size, args.vocab_size) {
    const RoPE rope(args.rope_dims, args.rope_theta);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), rope);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks[i], cache.attention(i));
    return norm_(h);
  }

  array logits(const array& hidden) const override { return lm_head_(hidden); }

  Cache make_cache() const override {
    Cache cache;
    for (size_t i = 0; i < layers_.size(); i++) cache.add<KVCache>();
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  ModelArgs args_;
  Embedding embed_tokens_;
  std::vector<TransformerBlock> layers_;
  LayerNorm norm_;
  Linear lm_head_;
};

}  // namespace

std::unique_ptr<Model> make_stablelm(const Config& config, Weights& weights) {
  return std::make_unique<StableLM>(ModelArgs(config), weights);
}
