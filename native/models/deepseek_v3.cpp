// DeepSeek V3, and Kimi K2, which is built alike: https://arxiv.org/abs/2412.19437

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
#include "nn/mla.h"
#include "nn/norm.h"
#include "nn/rope.h"
#include "nn/router.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

constexpr float latent_norm_eps = 1e-6f;

struct ModelArgs {
  int vocab_size;
  int hidden_size;
  int intermediate_size;
  int moe_intermediate_size;
  int num_hidden_layers;
  int shared_intermediate_size;  // 0: no shared experts
  int n_routed_experts;          // 0: every layer is dense
  int q_lora_rank;               // 0: queries are projected in one step
  LatentDims dims;
  int moe_layer_freq;
  int first_k_dense_replace;
  int max_position_embeddings;
  float rms_norm_eps;
  float rope_theta;
  Config rope_scaling;
  bool attention_bias;
  RouterArgs router;

  explicit ModelArgs(const Config& config)
      : vocab_size(config.positive("vocab_size", 102400)),
        hidden_size(config.positive("hidden_size", 4096)),
        intermediate_size(config.positive("intermediate_size", 11008)),
        moe_intermediate_size(config.positive("moe_intermediate_size", 1407)),
        num_hidden_layers(config.positive("num_hidden_layers", 30)),
        shared_intermediate_size(
            checked_product(moe_intermediate_size, config.count("n_shared_experts", 0))),
        n_routed_experts(config.count("n_routed_experts", 0)),
        q_lora_rank(config.positive_or_off("q_lora_rank", 1536)),
        dims{
            .num_attention_heads = config.positive("num_attention_heads", 32),
            .kv_lora_rank = config.positive("kv_lora_rank", 512),
            .qk_nope_head_dim = config.positive("qk_nope_head_dim", 128),
            .qk_rope_head_dim = config.positive("qk_rope_head_dim", 64),
            .v_head_dim = config.positive("v_head_dim", 128)},
        moe_layer_freq(config.positive("moe_layer_freq", 1)),
        first_k_dense_replace(config.count("first_k_dense_replace", 0)),
        max_position_embeddings(config.positive("max_position_embeddings", 2048)),
        rms_norm_eps(config.positive_number("rms_norm_eps", 1e-6f)),
        rope_theta(::rope_theta(config, 10000.0f)),
        rope_scaling(::rope_scaling(config)),
        attention_bias(config.boolean("attention_bias", false)),
        router{
            .num_experts = n_routed_experts,
            .top_k = config.positive("num_experts_per_tok", 1),
            .n_group = config.positive("n_group", 1),
            .topk_group = config.positive("topk_group", 1),
            .norm_topk_prob = config.boolean("norm_topk_prob", true),
            .scaling_factor = config.number("routed_scaling_factor", 1.0f)} {
    check_latent_dims(dims);
    if (n_routed_experts > 0) check_router(router);
    check_only(config, "topk_method", "noaux_tc");
    check_only(config, "scoring_func", "sigmoid");
  }

  bool has_experts(int layer) const {
    return n_routed_experts > 0 && layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : dims_(args.dims),
        queries_(
            weights, path, args.hidden_size, args.q_lora_rank, dims_, args.attention_bias,
            latent_norm_eps),
        kv_a_proj_with_mqa_(
            weights, path + ".kv_a_proj_with_mqa", args.hidden_size,
            dims_.kv_lora_rank + dims_.qk_rope_head_dim, args.attention_bias),
        kv_a_layernorm_(weights, path + ".kv_a_layernorm", dims_.kv_lora_rank, latent_norm_eps),
        attention_(weights, path, dims_, scale(args)),
        o_proj_(
            weights, path + ".o_proj", dims_.num_attention_heads * dims_.v_head_dim,
            args.hidden_size, args.attention_bias),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array queries = split_heads(queries_(x), mask.batch, dims_.num_attention_heads);
    const array q_nope = mx::slice(queries, -1, 0, dims_.qk_nope_head_dim);
    array q_pe = mx::slice(queries, -1, dims_.qk_nope_head_dim, queries.dim(-1));

    const array compressed = kv_a_proj_with_mqa_(x);  // (B · L, rank + rope)
    const array latent = kv_a_layernorm_(mx::slice(compressed, -1, 0, dims_.kv_lora_rank));
    const array kv_latent = split_heads(latent, mask.batch, 1);
    array k_pe = split_heads(
        mx::slice(compressed, -1, dims_.kv_lora_rank, compressed.dim(-1)), mask.batch, 1);

    std::tie(q_pe, k_pe) = rope_(q_pe, k_pe, cache.offset());
    cache.append(kv_latent, k_pe);

    return o_proj_(merge_heads(attention_(q_nope, q_pe, cache, mask)));
  }

 private:
  static float scale(const ModelArgs& args) {
    const float head_dim = static_cast<float>(args.dims.q_head_dim());
    return yarn_attention_factor(args.rope_scaling) / std::sqrt(head_dim);
  }

  LatentDims dims_;
  LatentQueries queries_;
  Linear kv_a_proj_with_mqa_;
  RMSNorm kv_a_layernorm_;
  LatentAttention attention_;
  Linear o_proj_;
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

class DeepseekV3 : public Model {
 public:
  DeepseekV3(const ModelArgs& args, Weights& weights, bool has_mtp_layer)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps),
        lm_head_(weights, "lm_head", args.hidden_size, args.vocab_size) {
    const RoPE rope(
        args.dims.qk_rope_head_dim, args.rope_theta, /* traditional */ true, args.rope_scaling,
        args.max_position_embeddings);
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
    for (size_t i = 0; i < layers_.size(); i++) cache.add<LatentCache>();
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

  std::shared_ptr<const MtpHead> mtp_head() const override { return mtp_head_; }

 private:
  using Head = NextTokenHead<TransformerBlock, LatentCache>;

  ModelArgs args_;
  Embedding embed_tokens_;
  std::vector<TransformerBlock> layers_;
  RMSNorm norm_;
  Linear lm_head_;
  std::shared_ptr<const Head> mtp_head_;  // nothing if the checkpoint has none
};

}  // namespace

std::unique_ptr<Model> make_deepseek_v3(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.drop([](const std::string& name) { return name.ends_with("rotary_emb.inv_freq"); });
  const bool has_mtp_layer = keep_mtp_layer(weights, args.num_hidden_layers);
  // The only one that mlx-lm knows to ignore.
  constexpr int known_layer = 61;
  if (has_mtp_layer && args.num_hidden_layers != known_layer) {
    weights.keep_unsaved("model.layers." + std::to_string(args.num_hidden_layers));
  }
  weights.keep_dtype({"e_score_correction_bias"});
  for (int i = 0; i < args.num_hidden_layers + has_mtp_layer; i++) {
    const std::string path = "model.layers." + std::to_string(i);
    split_kv_b_proj(weights, path + ".self_attn", args.dims);
    if (!args.has_experts(i)) continue;
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      stack_experts(weights, path + ".mlp", name, name, args.n_routed_experts);
    }
  }
  return std::make_unique<DeepseekV3>(args, weights, has_mtp_layer);
}
