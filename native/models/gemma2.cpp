// Gemma 2: https://arxiv.org/abs/2408.00118

#include <cmath>
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
  float rope_theta;
  bool rope_traditional;
  float attn_logit_softcapping;
  float final_logit_softcapping;
  float query_pre_attn_scalar;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim")),
        vocab_size(config.positive("vocab_size")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        rope_theta(::rope_theta(config, 10000.0f)),
        rope_traditional(config.boolean("rope_traditional", false)),
        attn_logit_softcapping(config.positive_number("attn_logit_softcapping", 50.0f)),
        final_logit_softcapping(config.positive_number("final_logit_softcapping", 30.0f)),
        query_pre_attn_scalar(config.positive_number("query_pre_attn_scalar", 144.0f)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(args.query_pre_attn_scalar)),
        softcapping_(args.attn_logit_softcapping),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(queries, keys, cache.offset());
    cache.append(keys, values);

    const array output = soft_capped_attention(queries, cache, scale_, softcapping_, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  float softcapping_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  RoPE rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : gate_proj_(weights, path + ".gate_proj", args.hidden_size, args.intermediate_size),
        down_proj_(weights, path + ".down_proj", args.intermediate_size, args.hidden_size),
        up_proj_(weights, path + ".up_proj", args.hidden_size, args.intermediate_size) {}

  array operator()(const array& x) const {
    return down_proj_(gelu_approx(gate_proj_(x)) * up_proj_(x));
  }

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
            gemma_norm(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps)),
        post_attention_layernorm_(gemma_norm(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps)),
        pre_feedforward_layernorm_(gemma_norm(
            weights, path + ".pre_feedforward_layernorm", args.hidden_size, args.rms_norm_eps)),
        post_feedforward_layernorm_(gemma_norm(
            weights, path + ".post_feedforward_layernorm", args.hidden_size, args.rms_norm_eps)) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = x + post_attention_layernorm_(self_attn_(input_layernorm_(x), mask, cache));
    return h + post_feedforward_layernorm_(mlp_(pre_feedforward_layernorm_(h)));
  }

 private:
  Attention self_attn_;
  MLP mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
  RMSNorm pre_feedforward_layernorm_, post_feedforward_layernorm_;
};

class Gemma2 : public Model {
 public:
  Gemma2(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_scale_(std::sqrt(static_cast<float>(args.hidden_size))),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(gemma_norm(weights, "model.norm", args.hidden_size, args.rms_norm_eps)) {
    const RoPE rope(args.head_dim, args.rope_theta, args.rope_traditional);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), rope);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens) * embed_scale_;
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks[i], cache.attention(i));
    return norm_(h);
  }

  array logits(const array& hidden) const override {
    return softcap(embed_tokens_.as_linear(hidden), args_.final_logit_softcapping);
  }

  /// The released models slide over 4096 tokens in every second layer. mlx-lm looks at everything,
  /// and so do we: within that length it is the same.
  Cache make_cache() const override {
    Cache cache;
    for (size_t i = 0; i < layers_.size(); i++) cache.add<KVCache>();
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  ModelArgs args_;
  float embed_scale_;
  Embedding embed_tokens_;
  std::vector<TransformerBlock> layers_;
  RMSNorm norm_;
};

}  // namespace

std::unique_ptr<Model> make_gemma2(const Config& config, Weights& weights) {
  return std::make_unique<Gemma2>(ModelArgs(config), weights);
}
