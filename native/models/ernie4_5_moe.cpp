// ERNIE 4.5, mixture of experts:
// https://ernie.baidu.com/blog/publication/ERNIE_Technical_Report.pdf

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
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
#include "nn/switch_layers.h"

namespace {

using mx::array;

struct ModelArgs {
  int hidden_size;
  int intermediate_size;
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  int num_hidden_layers;
  float rms_norm_eps;
  int vocab_size;
  float rope_theta;
  bool use_bias;
  bool tie_word_embeddings;
  int moe_num_experts;
  int moe_k;
  int moe_intermediate_size;
  int shared_intermediate_size;  // 0: no shared experts
  int moe_layer_interval;
  int first_moe_layer;
  int last_moe_layer;
  bool has_sigmoid_gate;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        intermediate_size(config.positive("intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim", hidden_size / num_attention_heads)),
        num_hidden_layers(config.positive("num_hidden_layers")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        vocab_size(config.positive("vocab_size")),
        rope_theta(::rope_theta(config)),
        use_bias(config.boolean("use_bias", false)),
        tie_word_embeddings(config.boolean("tie_word_embeddings", false)),
        moe_num_experts(config.positive("moe_num_experts")),
        moe_k(config.positive("moe_k", 1)),
        moe_intermediate_size(expert_width(config)),
        shared_intermediate_size(
            checked_product(moe_intermediate_size, config.count("moe_num_shared_experts", 0))),
        moe_layer_interval(config.positive("moe_layer_interval", 1)),
        first_moe_layer(std::ranges::min(layers(config, "moe_layer_start_index", 0))),
        last_moe_layer(
            std::ranges::max(layers(config, "moe_layer_end_index", num_hidden_layers - 1))),
        has_sigmoid_gate(config.text("moe_gate_act", "softmax") == "sigmoid") {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_experts(moe_num_experts, moe_k);
    if (!has_sigmoid_gate) check_only(config, "moe_gate_act", "softmax");
  }

  bool has_experts(int layer) const {
    return (layer + 1) % moe_layer_interval == 0 && layer >= first_moe_layer &&
           layer <= last_moe_layer;
  }

 private:
  static int expert_width(const Config& config) {
    const int width = config.count("moe_intermediate_size", 0);
    return width > 0 ? width : config.positive("intermediate_size");
  }

  /// Models with vision have a number for each kind of experts.
  static std::vector<int> layers(const Config& config, const std::string& key, int fallback) {
    std::vector<int> layers;
    if (config[key].is_list()) layers = config.counts(key);
    if (layers.empty()) layers = {config.count(key, fallback)};
    return layers;
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
        q_proj_(
            weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim, args.use_bias),
        k_proj_(
            weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            args.use_bias),
        v_proj_(
            weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            args.use_bias),
        o_proj_(
            weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size, args.use_bias),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
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
  RoPE rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path, int intermediate_size)
      : gate_proj_(
            weights, path + ".gate_proj", args.hidden_size, intermediate_size, args.use_bias),
        up_proj_(weights, path + ".up_proj", args.hidden_size, intermediate_size, args.use_bias),
        down_proj_(
            weights, path + ".down_proj", intermediate_size, args.hidden_size, args.use_bias) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, up_proj_, down_proj_;
};

class MoE {
 public:
  MoE(const ModelArgs& args, Weights& weights, const std::string& path)
      : moe_k_(args.moe_k),
        has_sigmoid_gate_(args.has_sigmoid_gate),
        gate_(weights, path + ".gate", args.hidden_size, args.moe_num_experts),
        switch_mlp_(
            weights, path + ".switch_mlp", args.hidden_size, args.moe_intermediate_size,
            args.moe_num_experts, swiglu, args.use_bias) {
    if (args.shared_intermediate_size == 0) return;
    shared_experts_.emplace(args, weights, path + ".shared_experts", args.shared_intermediate_size);
  }

  array operator()(const array& x) const {
    array gates = mx::astype(gate_(x), mx::float32);  // (n, experts)
    gates = has_sigmoid_gate_ ? mx::sigmoid(gates) : mx::softmax(gates, -1);
    const array indices = top_k(gates, moe_k_);  // (n, k)
    array scores = mx::take_along_axis(gates, indices, -1);
    scores = scores / mx::maximum(mx::sum(scores, -1), 1e-12f);
    const array y = weighted_sum(switch_mlp_(x, indices), scores);
    return shared_experts_ ? y + (*shared_experts_)(x) : y;
  }

 private:
  int moe_k_;
  bool has_sigmoid_gate_;
  Linear gate_;
  SwitchGLU switch_mlp_;
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

class Ernie45Moe : public Model {
 public:
  Ernie45Moe(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(args.head_dim, args.rope_theta, /* traditional */ true);
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

std::unique_ptr<Model> make_ernie4_5_moe(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.drop([](const std::string& name) {
    constexpr std::string_view parts[] = {
        "mtp_block.", "mtp_linear_proj.", "mtp_hidden_norm.", "mtp_emb_norm.",
        "e_score_correction_bias"};
    return std::ranges::any_of(
        parts, [&](std::string_view part) { return name.find(part) != std::string::npos; });
  });
  for (int i = 0; i < args.num_hidden_layers; i++) {
    const std::string path = "model.layers." + std::to_string(i) + ".mlp";
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      stack_experts(weights, path, name, name, args.moe_num_experts);
    }
  }
  return std::make_unique<Ernie45Moe>(args, weights);
}
