// dots.llm1: https://arxiv.org/abs/2506.05767

#include <cmath>
#include <optional>
#include <tuple>
#include <variant>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"
#include "nn/router.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int intermediate_size;
  int moe_intermediate_size;
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  int vocab_size;
  int max_position_embeddings;
  float rms_norm_eps;
  int first_k_dense_replace;
  int shared_intermediate_size;
  RouterArgs router;
  bool mlp_bias;
  float rope_theta;
  Config rope_scaling;
  bool tie_word_embeddings;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        moe_intermediate_size(config.positive("moe_intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim", hidden_size / num_attention_heads)),
        vocab_size(config.positive("vocab_size")),
        max_position_embeddings(config.count("max_position_embeddings", 0)),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        first_k_dense_replace(config.count("first_k_dense_replace", 0)),
        shared_intermediate_size(
            checked_product(moe_intermediate_size, config.positive("n_shared_experts"))),
        router{
            .num_experts = config.positive("n_routed_experts"),
            .top_k = config.positive("num_experts_per_tok"),
            .n_group = config.positive("n_group", 1),
            .topk_group = config.positive("topk_group", 1),
            .norm_topk_prob = config.boolean("norm_topk_prob", true),
            .scaling_factor = config.number("routed_scaling_factor")},
        mlp_bias(config.boolean("mlp_bias", false)),
        rope_theta(::rope_theta(config)),
        rope_scaling(::rope_scaling(config)),
        tie_word_embeddings(config.boolean("tie_word_embeddings", false)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_router(router);
  }

  bool has_experts(int layer) const { return layer >= first_k_dense_replace; }
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
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(q_norm_(queries), k_norm_(keys), cache.offset());
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

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path, int intermediate_size)
      : gate_proj_(
            weights, path + ".gate_proj", args.hidden_size, intermediate_size, args.mlp_bias),
        up_proj_(weights, path + ".up_proj", args.hidden_size, intermediate_size, args.mlp_bias),
        down_proj_(
            weights, path + ".down_proj", intermediate_size, args.hidden_size, args.mlp_bias) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, up_proj_, down_proj_;
};

class MoE {
 public:
  MoE(const ModelArgs& args, Weights& weights, const std::string& path)
      : experts_(
            weights, path + ".experts", args.hidden_size, args.moe_intermediate_size,
            args.router.num_experts),
        gate_(weights, path + ".gate", args.hidden_size, args.router),
        shared_experts_(args, weights, path + ".shared_experts", args.shared_intermediate_size) {}

  array operator()(const array& x) const {
    const Routing routing = gate_(x);
    return weighted_sum(experts_(x, routing.experts), routing.scores) + shared_experts_(x);
  }

 private:
  SwitchGLU experts_;
  MoEGate gate_;
  MLP shared_experts_;
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, int layer, const RoPE& rope)
      : self_attn_(args, weights, path + ".self_attn", rope),
        mlp_(make_mlp(args, weights, path + ".mlp", layer)),
        input_layernorm_(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps),
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = x + self_attn_(input_layernorm_(x), mask, cache);
    const array normed = post_attention_layernorm_(h);
    return h + std::visit([&](const auto& mlp) { return mlp(normed); }, mlp_);
  }

 private:
  using AnyMLP = std::variant<MLP, MoE>;

  static AnyMLP make_mlp(
      const ModelArgs& args, Weights& weights, const std::string& path, int layer) {
    if (args.has_experts(layer)) return MoE(args, weights, path);
    return MLP(args, weights, path, args.intermediate_size);
  }

  Attention self_attn_;
  AnyMLP mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
};

class Dots1 : public Model {
 public:
  Dots1(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(
        args.head_dim, args.rope_theta, false, args.rope_scaling, args.max_position_embeddings);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), i, rope);
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

std::unique_ptr<Model> make_dots1(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.drop([&](const std::string& name) {
    return name.ends_with("rotary_emb.inv_freq") ||
           (args.tie_word_embeddings && name.starts_with("lm_head."));
  });
  for (int i = args.first_k_dense_replace; i < args.num_hidden_layers; i++) {
    const std::string path = "model.layers." + std::to_string(i) + ".mlp";
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      stack_experts(weights, path, name, name, args.router.num_experts, "experts", "experts");
    }
  }
  return std::make_unique<Dots1>(args, weights);
}
