// Apertus: https://arxiv.org/abs/2509.14233

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
  float rms_norm_eps;
  bool mlp_bias;
  bool tie_word_embeddings;
  float rope_theta;
  bool rope_traditional;
  Config rope_scaling;
  int max_position_embeddings;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(hidden_size / num_attention_heads),
        vocab_size(config.positive("vocab_size")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        mlp_bias(config.boolean("mlp_bias", false)),
        tie_word_embeddings(config.boolean("tie_word_embeddings", false)),
        rope_theta(::rope_theta(config)),
        rope_traditional(config.boolean("rope_traditional", false)),
        rope_scaling(::rope_scaling(config)),
        max_position_embeddings(config.positive("max_position_embeddings")) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        q_norm_(weights, path + ".q_norm", args.head_dim, args.rms_norm_eps),
        k_norm_(weights, path + ".k_norm", args.head_dim, args.rms_norm_eps),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = q_norm_(split_heads(q_proj_(x), mask.batch, n_heads_));
    array keys = k_norm_(split_heads(k_proj_(x), mask.batch, n_kv_heads_));
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(queries, keys, cache.offset());
    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  RMSNorm q_norm_, k_norm_;
  RoPE rope_;
};

/// A parabola for positive numbers and an exponential for negative ones, whose curvatures are
/// learned: https://arxiv.org/abs/2411.13010
array xielu(
    const array& x, const array& alpha_p, const array& alpha_n, const array& beta,
    const array& eps) {
  const array positive = alpha_p * mx::square(x) + beta * x;
  const array negative = (mx::expm1(mx::minimum(x, eps)) - x) * alpha_n + beta * x;
  return mx::where(mx::greater(x, mx::scalar(0.0f, x.dtype())), positive, negative);
}

class XieLU {
 public:
  XieLU(Weights& weights, const std::string& path)
      : beta_(weights.take(path + ".beta", {})), eps_(weights.take(path + ".eps", {})) {
    const array alpha_p = weights.take(path + ".alpha_p", {});
    const array alpha_n = weights.take(path + ".alpha_n", {});
    if (!alpha_p || !alpha_n || !beta_) return;  // missing, and noted as such
    alpha_p_ = softplus(alpha_p);
    alpha_n_ = beta_ + softplus(alpha_n);
  }

  array operator()(const array& x) const {
    return mx::fused<xielu>(x, alpha_p_, alpha_n_, beta_, eps_);
  }

 private:
  array beta_, eps_;
  array alpha_p_, alpha_n_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : up_proj_(
            weights, path + ".up_proj", args.hidden_size, args.intermediate_size, args.mlp_bias),
        down_proj_(
            weights, path + ".down_proj", args.intermediate_size, args.hidden_size, args.mlp_bias),
        act_fn_(weights, path + ".act_fn") {}

  array operator()(const array& x) const { return down_proj_(act_fn_(up_proj_(x))); }

 private:
  Linear up_proj_, down_proj_;
  XieLU act_fn_;
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : self_attn_(args, weights, path + ".self_attn", rope),
        mlp_(args, weights, path + ".mlp"),
        attention_layernorm_(
            weights, path + ".attention_layernorm", args.hidden_size, args.rms_norm_eps),
        feedforward_layernorm_(
            weights, path + ".feedforward_layernorm", args.hidden_size, args.rms_norm_eps) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = x + self_attn_(attention_layernorm_(x), mask, cache);
    return h + mlp_(feedforward_layernorm_(h));
  }

 private:
  Attention self_attn_;
  MLP mlp_;
  RMSNorm attention_layernorm_, feedforward_layernorm_;
};

class Apertus : public Model {
 public:
  Apertus(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(
        args.head_dim, args.rope_theta, args.rope_traditional, args.rope_scaling,
        args.max_position_embeddings);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), rope);
    }
    if (!args.tie_word_embeddings) {
      lm_head_.emplace(weights, "lm_head", args.hidden_size, args.vocab_size);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks[i], cache.attention(i));
    return norm_(h);
  }

  array logits(const array& hidden) const override {
    return lm_head_ ? (*lm_head_)(hidden) : embed_tokens_.as_linear(hidden);
  }

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
  RMSNorm norm_;
  std::optional<Linear> lm_head_;
};

}  // namespace

std::unique_ptr<Model> make_apertus(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  if (args.tie_word_embeddings) {
    weights.drop([](const std::string& name) { return name.starts_with("lm_head."); });
  }
  for (const std::string& name : weights.names()) {
    if (!name.ends_with(".alpha_p") && !name.ends_with(".alpha_n")) continue;
    const array alpha = weights.extract(name);
    // The publisher's are lists of one number.
    weights.put(name, alpha.shape() == mx::Shape{1} ? mx::squeeze(alpha, 0) : alpha);
  }
  return std::make_unique<Apertus>(args, weights);
}
