// GLM 4.5 to 4.7, mixture of experts: https://arxiv.org/abs/2508.06471

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
  int vocab_size;
  int hidden_size;
  int intermediate_size;
  int moe_intermediate_size;
  int num_hidden_layers;
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  int shared_intermediate_size;  // 0: no shared experts
  int n_routed_experts;          // 0: every layer is dense
  int first_k_dense_replace;
  float rms_norm_eps;
  float rope_theta;
  int rope_dims;
  bool use_qk_norm;
  bool attention_bias;
  RouterArgs router;

  explicit ModelArgs(const Config& config)
      : vocab_size(config.positive("vocab_size")),
        hidden_size(config.positive("hidden_size")),
        intermediate_size(config.positive("intermediate_size")),
        moe_intermediate_size(config.positive("moe_intermediate_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim")),
        shared_intermediate_size(
            checked_product(moe_intermediate_size, config.count("n_shared_experts", 0))),
        n_routed_experts(config.count("n_routed_experts", 0)),
        first_k_dense_replace(config.count("first_k_dense_replace", 0)),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        rope_theta(::rope_theta(config)),
        rope_dims(rotary_dims(config, head_dim)),
        use_qk_norm(config.boolean("use_qk_norm", false)),
        attention_bias(config.boolean("attention_bias", false)),
        router{
            .num_experts = n_routed_experts,
            .top_k = config.positive("num_experts_per_tok"),
            .n_group = config.positive("n_group", 1),
            .topk_group = config.positive("topk_group", 1),
            .norm_topk_prob = config.boolean("norm_topk_prob", true),
            .scaling_factor = config.number("routed_scaling_factor")} {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    if (n_routed_experts > 0) check_router(router);
    check_only(config, "topk_method", "noaux_tc");
    check_only(config, "scoring_func", "sigmoid");
  }

  bool has_experts(int layer) const {
    return n_routed_experts > 0 && layer >= first_k_dense_replace;
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
        q_proj_(
            weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim,
            args.attention_bias),
        k_proj_(
            weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            args.attention_bias),
        v_proj_(
            weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            args.attention_bias),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        rope_(rope) {
    if (!args.use_qk_norm) return;
    q_norm_.emplace(weights, path + ".q_norm", args.head_dim, args.rms_norm_eps);
    k_norm_.emplace(weights, path + ".k_norm", args.head_dim, args.rms_norm_eps);
  }

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);
    if (q_norm_) {
      queries = (*q_norm_)(queries);
      keys = (*k_norm_)(keys);
    }

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
  std::optional<RMSNorm> q_norm_, k_norm_;
  RoPE rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path, int intermediate_size)
      : gate_proj_(weights, path + ".gate_proj", args.hidden_size, intermediate_size),
        up_proj_(weights, path + ".up_proj", args.hidden_size, intermediate_size),
        down_proj_(weights, path + ".down_proj", intermediate_size, args.hidden_size) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, up_proj_, down_proj_;
};

class MoE {
 public:
  MoE(const ModelArgs& args, Weights& weights, const std::string& path)
      : switch_mlp_(
            weights, path + ".switch_mlp", args.hidden_size, args.moe_intermediate_size,
            args.n_routed_experts),
        gate_(weights, path + ".gate", args.hidden_size, args.router) {
    if (args.shared_intermediate_size == 0) return;
    shared_experts_.emplace(args, weights, path + ".shared_experts", args.shared_intermediate_size);
  }

  array operator()(const array& x) const {
    const Routing routing = gate_(x);
    const array y = weighted_sum(switch_mlp_(x, routing.experts), routing.scores);
    return shared_experts_ ? y + (*shared_experts_)(x) : y;
  }

 private:
  SwitchGLU switch_mlp_;
  MoEGate gate_;
  std::optional<MLP> shared_experts_;
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

class Glm4Moe : public Model {
 public:
  Glm4Moe(const ModelArgs& args, Weights& weights, bool has_mtp_layer)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps),
        lm_head_(weights, "lm_head", args.hidden_size, args.vocab_size) {
    const RoPE rope(args.rope_dims, args.rope_theta);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), i, rope);
    }
    if (!has_mtp_layer) return;
    const int layer = args.num_hidden_layers;
    const std::string path = "model.layers." + std::to_string(layer);
    mtp_head_ = std::make_shared<Head>(
        weights, path, args.hidden_size, args.rms_norm_eps,
        TransformerBlock(args, weights, path, layer, rope), embed_tokens_, lm_head_);
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

  std::shared_ptr<const MtpHead> mtp_head() const override { return mtp_head_; }

 private:
  using Head = NextTokenHead<TransformerBlock, KVCache>;

  ModelArgs args_;
  Embedding embed_tokens_;
  std::vector<TransformerBlock> layers_;
  RMSNorm norm_;
  Linear lm_head_;
  std::shared_ptr<const Head> mtp_head_;  // nothing if the checkpoint has none
};

}  // namespace

std::unique_ptr<Model> make_glm4_moe(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  const bool has_mtp_layer = keep_mtp_layer(weights, args.num_hidden_layers);
  weights.keep_dtype({"e_score_correction_bias"});
  for (int i = 0; i < args.num_hidden_layers + has_mtp_layer; i++) {
    if (!args.has_experts(i)) continue;
    const std::string path = "model.layers." + std::to_string(i) + ".mlp";
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      stack_experts(weights, path, name, name, args.n_routed_experts);
    }
  }
  return std::make_unique<Glm4Moe>(args, weights, has_mtp_layer);
}
