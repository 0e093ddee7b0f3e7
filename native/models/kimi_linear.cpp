// Kimi Linear: https://arxiv.org/abs/2510.26692

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/conv.h"
#include "nn/gated_delta.h"
#include "nn/linear.h"
#include "nn/mla.h"
#include "nn/norm.h"
#include "nn/router.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

struct ModelArgs {
  int vocab_size;
  int hidden_size;
  int num_hidden_layers;
  int intermediate_size;
  int moe_intermediate_size;
  int shared_intermediate_size;  // 0: no shared experts
  float rms_norm_eps;
  bool tie_word_embeddings;
  LatentDims dims;
  std::vector<int> kda_layers;  // counted from 1
  int linear_num_heads;
  int linear_head_dim;
  int short_conv_kernel_size;
  int num_experts;  // 0: every layer is dense
  bool has_sigmoid_router;
  int first_k_dense_replace;
  int moe_layer_freq;
  RouterArgs router;

  explicit ModelArgs(const Config& config)
      : vocab_size(config.positive("vocab_size")),
        hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        moe_intermediate_size(config.positive("moe_intermediate_size")),
        shared_intermediate_size(
            checked_product(moe_intermediate_size, config.count("num_shared_experts", 0))),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        tie_word_embeddings(config.boolean("tie_word_embeddings", false)),
        dims{
            .num_attention_heads = config.positive("num_attention_heads"),
            .kv_lora_rank = config.positive("kv_lora_rank"),
            .qk_nope_head_dim = head_part(config, "qk_nope_head_dim"),
            .qk_rope_head_dim = config.positive("qk_rope_head_dim"),
            .v_head_dim = head_part(config, "v_head_dim")},
        kda_layers(config["linear_attn_config"].counts("kda_layers")),
        linear_num_heads(config["linear_attn_config"].positive("num_heads")),
        linear_head_dim(config["linear_attn_config"].positive("head_dim")),
        short_conv_kernel_size(config["linear_attn_config"].positive("short_conv_kernel_size", 4)),
        num_experts(config.count("num_experts", 0)),
        has_sigmoid_router(config.text("moe_router_activation_func", "sigmoid") == "sigmoid"),
        first_k_dense_replace(config.count("first_k_dense_replace", 0)),
        moe_layer_freq(config.positive("moe_layer_freq", 1)),
        router{
            .num_experts = num_experts,
            .top_k = config.positive("num_experts_per_token", 1),
            .n_group = config.positive("num_expert_group", 1),
            .topk_group = config.positive("topk_group", 1),
            .norm_topk_prob = config.boolean("moe_renormalize", true),
            .scaling_factor = config.number("routed_scaling_factor", 1.0f)} {
    check_latent_dims(dims);
    check_linear_heads(linear_num_heads, linear_head_dim, linear_num_heads, linear_head_dim);
    if (num_experts > 0) check_router(router);
    if (!has_sigmoid_router) check_only(config, "moe_router_activation_func", "softmax");
  }

  bool is_linear(int layer) const {
    return std::ranges::find(kda_layers, layer + 1) != kda_layers.end();
  }

  bool has_experts(int layer) const {
    return num_experts > 0 && layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
  }

 private:
  static int head_part(const Config& config, const std::string& key) {
    return config.has(key) ? config.positive(key) : config.positive("head_dim");
  }
};

/// Attention over latents, to which the linear layers leave all sense of position.
class MLAAttention {
 public:
  MLAAttention(const ModelArgs& args, Weights& weights, const std::string& path)
      : dims_(args.dims),
        q_proj_(
            weights, path + ".q_proj", args.hidden_size,
            dims_.num_attention_heads * dims_.q_head_dim()),
        kv_a_proj_with_mqa_(
            weights, path + ".kv_a_proj_with_mqa", args.hidden_size,
            dims_.kv_lora_rank + dims_.qk_rope_head_dim),
        kv_a_layernorm_(weights, path + ".kv_a_layernorm", dims_.kv_lora_rank, args.rms_norm_eps),
        attention_(weights, path, dims_, 1.0f / std::sqrt(static_cast<float>(dims_.q_head_dim()))),
        o_proj_(
            weights, path + ".o_proj", dims_.num_attention_heads * dims_.v_head_dim,
            args.hidden_size) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array queries = split_heads(q_proj_(x), mask.batch, dims_.num_attention_heads);
    const array q_nope = mx::slice(queries, -1, 0, dims_.qk_nope_head_dim);
    const array q_pe = mx::slice(queries, -1, dims_.qk_nope_head_dim, queries.dim(-1));

    const array compressed = kv_a_proj_with_mqa_(x);  // (B · L, rank + rope)
    const array latent = kv_a_layernorm_(mx::slice(compressed, -1, 0, dims_.kv_lora_rank));
    const array kv_latent = split_heads(latent, mask.batch, 1);
    array k_pe = split_heads(
        mx::slice(compressed, -1, dims_.kv_lora_rank, compressed.dim(-1)), mask.batch, 1);

    cache.append(kv_latent, k_pe);
    return o_proj_(merge_heads(attention_(q_nope, q_pe, cache, mask)));
  }

 private:
  LatentDims dims_;
  Linear q_proj_, kv_a_proj_with_mqa_;
  RMSNorm kv_a_layernorm_;
  LatentAttention attention_;
  Linear o_proj_;
};

/// A gated delta net, of which every channel of a key fades at a pace of its own.
class DeltaAttention {
 public:
  DeltaAttention(const ModelArgs& args, Weights& weights, const std::string& path)
      : n_heads_(args.linear_num_heads),
        head_dim_(args.linear_head_dim),
        q_proj_(weights, path + ".q_proj", args.hidden_size, width()),
        k_proj_(weights, path + ".k_proj", args.hidden_size, width()),
        v_proj_(weights, path + ".v_proj", args.hidden_size, width()),
        q_conv_(weights, path + ".q_conv.conv", width(), args.short_conv_kernel_size),
        k_conv_(weights, path + ".k_conv.conv", width(), args.short_conv_kernel_size),
        v_conv_(weights, path + ".v_conv.conv", width(), args.short_conv_kernel_size),
        f_a_proj_(weights, path + ".f_a_proj", args.hidden_size, head_dim_),
        f_b_proj_(weights, path + ".f_b_proj", head_dim_, width()),
        b_proj_(weights, path + ".b_proj", args.hidden_size, n_heads_),
        g_a_proj_(weights, path + ".g_a_proj", args.hidden_size, head_dim_),
        g_b_proj_(weights, path + ".g_b_proj", head_dim_, width()),
        rate_(weights.take(path + ".A_log", {1, 1, n_heads_, 1})),
        dt_bias_(weights.take(path + ".dt_bias", {width()})),
        o_norm_(weights, path + ".o_norm", head_dim_, args.rms_norm_eps),
        o_proj_(weights, path + ".o_proj", width(), args.hidden_size) {
    if (rate_) rate_ = mx::reshape(-mx::exp(mx::astype(rate_, mx::float32)), {1, n_heads_, 1});
    if (dt_bias_) dt_bias_ = mx::reshape(dt_bias_, {1, n_heads_, head_dim_});
  }

  array operator()(const array& x, int batch, StateCache& cache) const {
    const auto mix = [&](const Linear& proj, const CausalConv& conv, array& state) {
      const array mixed = silu(conv(mx::reshape(proj(x), {batch, -1, width()}), state));
      return mx::reshape(mixed, {batch, -1, n_heads_, head_dim_});  // (B, L, heads, D)
    };
    const array both[] = {mix(q_proj_, q_conv_, cache[0]), mix(k_proj_, k_conv_, cache[1])};
    const auto [q, k] = normalize_qk(mx::concatenate(both, 2));
    const array v = mix(v_proj_, v_conv_, cache[2]);

    const array a = by_head(f_b_proj_(f_a_proj_(x)));
    const array log_g = log_decay(rate_, a, dt_bias_);
    const array y = gated_delta_update(q, k, v, log_g, mx::sigmoid(b_proj_(x)), cache[3]);

    const array gate = mx::sigmoid(by_head(g_b_proj_(g_a_proj_(x))));
    const array output = o_norm_(mx::reshape(y, {-1, n_heads_, head_dim_})) * gate;
    return o_proj_(mx::reshape(output, {-1, width()}));
  }

 private:
  int width() const { return n_heads_ * head_dim_; }

  /// (B · L, heads · D) → (B · L, heads, D)
  array by_head(const array& x) const { return mx::reshape(x, {-1, n_heads_, head_dim_}); }

  int n_heads_;
  int head_dim_;
  Linear q_proj_, k_proj_, v_proj_;
  CausalConv q_conv_, k_conv_, v_conv_;
  Linear f_a_proj_, f_b_proj_, b_proj_, g_a_proj_, g_b_proj_;
  array rate_;     // −exp(A_log), (1, heads, 1)
  array dt_bias_;  // (1, heads, D)
  RMSNorm o_norm_;
  Linear o_proj_;
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

class SparseMoE {
 public:
  SparseMoE(const ModelArgs& args, Weights& weights, const std::string& path)
      : router_(args.router),
        has_sigmoid_router_(args.has_sigmoid_router),
        gate_(weights, path + ".gate", args.hidden_size, args.num_experts),
        switch_mlp_(
            weights, path + ".switch_mlp", args.hidden_size, args.moe_intermediate_size,
            args.num_experts),
        e_score_correction_bias_(
            weights.take(path + ".e_score_correction_bias", {args.num_experts})) {
    if (args.shared_intermediate_size == 0) return;
    shared_experts_.emplace(args, weights, path + ".shared_experts", args.shared_intermediate_size);
  }

  array operator()(const array& x) const {
    const array gates = gate_(x);
    const array scores =
        has_sigmoid_router_ ? mx::sigmoid(gates) : mx::softmax(gates, -1, /* precise */ true);
    const array bias = mx::astype(e_score_correction_bias_, scores.dtype());
    const Routing routing = group_expert_select(scores, bias, router_);
    const array y = weighted_sum(switch_mlp_(x, routing.experts), routing.scores);
    return shared_experts_ ? y + (*shared_experts_)(x) : y;
  }

 private:
  RouterArgs router_;
  bool has_sigmoid_router_;
  Linear gate_;
  SwitchGLU switch_mlp_;
  array e_score_correction_bias_;  // (experts)
  std::optional<MLP> shared_experts_;
};

class DecoderLayer {
 public:
  DecoderLayer(const ModelArgs& args, Weights& weights, const std::string& path, int layer)
      : self_attn_(make_attention(args, weights, path + ".self_attn", layer)),
        mlp_(make_mlp(args, weights, path + ".mlp", layer)),
        input_layernorm_(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps),
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps) {}

  array operator()(
      const array& x, const Masks& masks, int batch, Cache& cache, size_t layer) const {
    const array h = x + attend(input_layernorm_(x), masks, batch, cache, layer);
    const array normed = post_attention_layernorm_(h);
    return h + std::visit([&](const auto& mlp) { return mlp(normed); }, mlp_);
  }

 private:
  using AnyAttention = std::variant<MLAAttention, DeltaAttention>;
  using AnyMLP = std::variant<MLP, SparseMoE>;

  static AnyAttention make_attention(
      const ModelArgs& args, Weights& weights, const std::string& path, int layer) {
    if (args.is_linear(layer)) return DeltaAttention(args, weights, path);
    return MLAAttention(args, weights, path);
  }

  static AnyMLP make_mlp(
      const ModelArgs& args, Weights& weights, const std::string& path, int layer) {
    if (args.has_experts(layer)) return SparseMoE(args, weights, path);
    return MLP(args, weights, path, args.intermediate_size);
  }

  array attend(const array& x, const Masks& masks, int batch, Cache& cache, size_t layer) const {
    if (const auto* linear = std::get_if<DeltaAttention>(&self_attn_)) {
      return (*linear)(x, batch, cache.state(layer));
    }
    return std::get<MLAAttention>(self_attn_)(x, masks[layer], cache.attention(layer));
  }

  AnyAttention self_attn_;
  AnyMLP mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
};

class KimiLinear : public Model {
 public:
  KimiLinear(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), i);
    }
    if (!args.tie_word_embeddings) {
      lm_head_.emplace(weights, "lm_head", args.hidden_size, args.vocab_size);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) {
      h = layers_[i](h, masks, tokens.dim(0), cache, i);
    }
    return norm_(h);
  }

  array logits(const array& hidden) const override {
    return lm_head_ ? (*lm_head_)(hidden) : embed_tokens_.as_linear(hidden);
  }

  Cache make_cache() const override {
    Cache cache;
    for (int i = 0; i < args_.num_hidden_layers; i++) {
      if (args_.is_linear(i)) {
        cache.add<StateCache>(4);
      } else {
        cache.add<LatentCache>();
      }
    }
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  ModelArgs args_;
  Embedding embed_tokens_;
  std::vector<DecoderLayer> layers_;
  RMSNorm norm_;
  std::optional<Linear> lm_head_;
};

/// The names that mlx-lm gives to what the publisher calls otherwise.
std::string renamed(std::string name) {
  constexpr std::pair<std::string_view, std::string_view> names[] = {
      {".block_sparse_moe.gate.e_score", ".mlp.e_score"},
      {".block_sparse_moe.", ".mlp."},
      {".q_conv1d.", ".q_conv.conv."},
      {".k_conv1d.", ".k_conv.conv."},
      {".v_conv1d.", ".v_conv.conv."}};
  for (const auto& [from, to] : names) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
  }
  return name;
}

/// The publisher's (heads, D) as one row.
void flatten_dt_bias(Weights& weights, const std::string& path) {
  if (!weights.has(path + ".dt_bias")) return;
  weights.put(path + ".dt_bias", mx::reshape(weights.extract(path + ".dt_bias"), {-1}));
}

}  // namespace

std::unique_ptr<Model> make_kimi_linear(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.drop([&](const std::string& name) {
    return name.starts_with("model.mtp") ||
           (args.tie_word_embeddings && name.starts_with("lm_head."));
  });
  weights.keep_dtype({"e_score_correction_bias", "A_log", "dt_bias"});
  weights.keep_8_bits({"mlp.gate"});
  weights.rename(renamed);
  transpose_conv_weights(weights, "_conv.conv.weight");
  for (int i = 0; i < args.num_hidden_layers; i++) {
    const std::string path = "model.layers." + std::to_string(i);
    if (args.is_linear(i)) {
      flatten_dt_bias(weights, path + ".self_attn");
    } else {
      split_kv_b_proj(weights, path + ".self_attn", args.dims);
    }
    if (!args.has_experts(i)) continue;
    stack_experts(weights, path + ".mlp", "w1", "gate_proj", args.num_experts);
    stack_experts(weights, path + ".mlp", "w2", "down_proj", args.num_experts);
    stack_experts(weights, path + ".mlp", "w3", "up_proj", args.num_experts);
  }
  return std::make_unique<KimiLinear>(args, weights);
}
