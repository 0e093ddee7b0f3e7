// Gemma 4, text only: https://ai.google.dev/gemma/docs/core

#include <algorithm>
#include <cmath>
#include <optional>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/layer_types.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/per_layer_inputs.h"
#include "nn/rope.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

/// Every `sliding_window_pattern`-th layer looks at everything, unless `layer_types` says more.
std::vector<std::string> kinds_of_layers(const Config& config, int num_hidden_layers) {
  std::vector<std::string> types = layer_types(config, num_hidden_layers);
  const int pattern = config.positive("sliding_window_pattern", 5);
  for (int i = static_cast<int>(types.size()); i < num_hidden_layers; i++) {
    types.push_back((i + 1) % pattern == 0 ? "full_attention" : "sliding_attention");
  }
  return types;
}

/// The settings of both kinds of layers by their names.
Config rope_parameters(const Config& config) {
  if (config.has("rope_parameters")) return config["rope_parameters"];
  const Config full = Config()
                          .with("rope_type", Config(std::string("proportional")))
                          .with("rope_theta", Config(1000000.0))
                          .with("partial_rotary_factor", Config(0.25));
  return Config().with("full_attention", full);
}

/// The defaults are those of the released E2B model.
struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int intermediate_size;
  int num_attention_heads;
  int num_key_value_heads;
  int num_global_key_value_heads;
  int head_dim;
  int global_head_dim;
  int vocab_size;
  float rms_norm_eps;
  Config rope_parameters;
  bool rope_traditional;
  int max_position_embeddings;
  std::vector<std::string> layer_types;
  int sliding_window;
  bool attention_k_eq_v;
  int num_kv_shared_layers;
  bool use_double_wide_mlp;
  PerLayerArgs per_layer;
  bool enable_moe_block;
  int num_experts;
  int top_k_experts;
  int moe_intermediate_size;
  float final_logit_softcapping;
  bool tie_word_embeddings;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size", 1536)),
        num_hidden_layers(config.positive("num_hidden_layers", 35)),
        intermediate_size(config.positive("intermediate_size", 6144)),
        num_attention_heads(config.positive("num_attention_heads", 8)),
        num_key_value_heads(config.positive("num_key_value_heads", 1)),
        num_global_key_value_heads(
            config.positive("num_global_key_value_heads", num_key_value_heads)),
        head_dim(config.positive("head_dim", 256)),
        global_head_dim(config.positive_or_off("global_head_dim", 512)),
        vocab_size(config.positive("vocab_size", 262144)),
        rms_norm_eps(config.positive_number("rms_norm_eps", 1e-6f)),
        rope_parameters(::rope_parameters(config)),
        rope_traditional(config.boolean("rope_traditional", false)),
        max_position_embeddings(config.positive("max_position_embeddings", 131072)),
        layer_types(kinds_of_layers(config, num_hidden_layers)),
        sliding_window(config.positive("sliding_window", 512)),
        attention_k_eq_v(config.boolean("attention_k_eq_v", false)),
        num_kv_shared_layers(config.count("num_kv_shared_layers", 20)),
        use_double_wide_mlp(config.boolean("use_double_wide_mlp", true)),
        per_layer{
            .num_hidden_layers = num_hidden_layers,
            .hidden_size = hidden_size,
            .dims = config.count("hidden_size_per_layer_input", 256),
            .vocab_size = config.positive("vocab_size_per_layer_input", 262144),
            .rms_norm_eps = rms_norm_eps},
        enable_moe_block(config.boolean("enable_moe_block", false)),
        num_experts(enable_moe_block ? config.positive("num_experts") : 0),
        top_k_experts(enable_moe_block ? config.positive("top_k_experts") : 0),
        moe_intermediate_size(enable_moe_block ? config.positive("moe_intermediate_size") : 0),
        final_logit_softcapping(config.positive_number_or_off("final_logit_softcapping", 30.0f)),
        tie_word_embeddings(config.boolean("tie_word_embeddings", true)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_heads(num_attention_heads, num_global_key_value_heads, full_head_dim());
    check_width("intermediate_size", intermediate_size);
    check_width("hidden_size_per_layer_input", int64_t{num_hidden_layers} * per_layer.dims);
    check_width("moe_intermediate_size", moe_intermediate_size);
    check_experts(num_experts, top_k_experts);
  }

  bool is_sliding(size_t layer) const { return layer_types[layer] == "sliding_attention"; }
  int full_head_dim() const { return global_head_dim > 0 ? global_head_dim : head_dim; }

  /// The first of the layers that read keys and values of another one.
  size_t first_shared() const {
    return static_cast<size_t>(std::max(num_hidden_layers - num_kv_shared_layers, 0));
  }
};

RMSNorm norm(const ModelArgs& args, Weights& weights, const std::string& path) {
  return RMSNorm(weights, path, args.hidden_size, args.rms_norm_eps);
}

class Attention {
 public:
  Attention(
      const ModelArgs& args, Weights& weights, const std::string& path, size_t layer,
      const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        head_dim_(args.is_sliding(layer) ? args.head_dim : args.full_head_dim()),
        eps_(args.rms_norm_eps),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * head_dim_),
        o_proj_(weights, path + ".o_proj", n_heads_ * head_dim_, args.hidden_size),
        q_norm_(weights, path + ".q_norm", head_dim_, eps_),
        rope_(rope) {
    if (layer >= args.first_shared()) return;
    const bool k_eq_v = args.attention_k_eq_v && !args.is_sliding(layer);
    n_kv_heads_ = k_eq_v ? args.num_global_key_value_heads : args.num_key_value_heads;
    k_proj_.emplace(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * head_dim_);
    if (!k_eq_v) {
      v_proj_.emplace(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * head_dim_);
    }
    k_norm_.emplace(weights, path + ".k_norm", head_dim_, eps_);
  }

  /// `offset` is the position of the first token, whether or not a shared cache has it already.
  array operator()(
      const array& x, const Mask& mask, AttentionCache& cache, const Positions& offset) const {
    if (k_proj_) {
      const array heads = split_heads((*k_proj_)(x), mask.batch, n_kv_heads_);
      const array values = v_proj_ ? split_heads((*v_proj_)(x), mask.batch, n_kv_heads_) : heads;
      cache.append(rope_((*k_norm_)(heads), offset), mx::rms_norm(values, array(), eps_));
    }
    const array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    const array output = scaled_dot_product_attention(
        rope_(q_norm_(queries), offset), cache, /* scale */ 1.0f, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_ = 0;
  int head_dim_;
  float eps_;
  Linear q_proj_, o_proj_;
  std::optional<Linear> k_proj_, v_proj_;  // none in a layer that shares, no v_proj where k is v
  RMSNorm q_norm_;
  std::optional<RMSNorm> k_norm_;
  RoPE rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path, int hidden_dims)
      : gate_proj_(weights, path + ".gate_proj", args.hidden_size, hidden_dims),
        down_proj_(weights, path + ".down_proj", hidden_dims, args.hidden_size),
        up_proj_(weights, path + ".up_proj", args.hidden_size, hidden_dims) {}

  array operator()(const array& x) const { return down_proj_(geglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, down_proj_, up_proj_;
};

/// Which experts each token goes to, and how much each counts.
class Router {
 public:
  Router(const ModelArgs& args, Weights& weights, const std::string& path)
      : top_k_(args.top_k_experts),
        norm_(scale(args, weights, path), args.rms_norm_eps),
        proj_(weights, path + ".proj", args.hidden_size, args.num_experts),
        per_expert_scale_(weights.take(path + ".per_expert_scale", {args.num_experts})) {}

  /// Tokens (n, D) → experts (n, k) and scores (n, k)
  std::pair<array, array> operator()(const array& x) const {
    const array scores = proj_(norm_(x));
    const array experts = top_k(scores, top_k_);
    const array chosen = mx::softmax(mx::take_along_axis(scores, experts, -1), -1);
    return {experts, chosen * mx::take(per_expert_scale_, experts, 0)};
  }

 private:
  static array scale(const ModelArgs& args, Weights& weights, const std::string& path) {
    const array weight = weights.take(path + ".scale", {args.hidden_size});
    return weight ? weight * (1.0f / std::sqrt(static_cast<float>(args.hidden_size))) : weight;
  }

  int top_k_;
  RMSNorm norm_;
  Linear proj_;
  array per_expert_scale_;  // (experts)
};

/// Experts beside the MLP, both of the same hidden state.
class MoE {
 public:
  MoE(const ModelArgs& args, Weights& weights, const std::string& path)
      : router_(args, weights, path + ".router"),
        experts_(
            weights, path + ".experts.switch_glu", args.hidden_size, args.moe_intermediate_size,
            args.num_experts, geglu),
        post_feedforward_layernorm_1_(norm(args, weights, path + ".post_feedforward_layernorm_1")),
        post_feedforward_layernorm_2_(norm(args, weights, path + ".post_feedforward_layernorm_2")),
        pre_feedforward_layernorm_2_(norm(args, weights, path + ".pre_feedforward_layernorm_2")) {}

  /// `fed` is what the MLP made of the hidden state `h`.
  array operator()(const array& h, const array& fed) const {
    const auto [experts, scores] = router_(h);
    const array routed = experts_(pre_feedforward_layernorm_2_(h), experts);
    return post_feedforward_layernorm_1_(fed) +
           post_feedforward_layernorm_2_(weighted_sum(routed, scores));
  }

 private:
  Router router_;
  SwitchGLU experts_;
  RMSNorm post_feedforward_layernorm_1_, post_feedforward_layernorm_2_;
  RMSNorm pre_feedforward_layernorm_2_;
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, size_t layer,
      const RoPE& rope)
      : self_attn_(args, weights, path + ".self_attn", layer, rope),
        mlp_(args, weights, path + ".mlp", mlp_dims(args, layer)),
        input_layernorm_(norm(args, weights, path + ".input_layernorm")),
        post_attention_layernorm_(norm(args, weights, path + ".post_attention_layernorm")),
        pre_feedforward_layernorm_(norm(args, weights, path + ".pre_feedforward_layernorm")),
        post_feedforward_layernorm_(norm(args, weights, path + ".post_feedforward_layernorm")),
        layer_scalar_(weights.take(path + ".layer_scalar", {1})) {
    if (args.enable_moe_block) moe_.emplace(args, weights, path);
    if (args.per_layer.dims > 0) per_layer_gate_.emplace(weights, path, args.per_layer);
  }

  array operator()(
      const array& x, const Mask& mask, AttentionCache& cache, const Positions& offset,
      const array& per_layer_input) const {
    const array attended = self_attn_(input_layernorm_(x), mask, cache, offset);
    array h = x + post_attention_layernorm_(attended);
    const array fed = mlp_(pre_feedforward_layernorm_(h));
    h = h + post_feedforward_layernorm_(moe_ ? (*moe_)(h, fed) : fed);
    if (per_layer_gate_) h = h + (*per_layer_gate_)(h, per_layer_input);
    return h * layer_scalar_;
  }

 private:
  static int mlp_dims(const ModelArgs& args, size_t layer) {
    const bool is_double = args.use_double_wide_mlp && layer >= args.first_shared();
    return args.intermediate_size * (is_double ? 2 : 1);
  }

  Attention self_attn_;
  MLP mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
  RMSNorm pre_feedforward_layernorm_, post_feedforward_layernorm_;
  std::optional<MoE> moe_;
  std::optional<PerLayerGate> per_layer_gate_;
  array layer_scalar_;  // (1)
};

class Gemma4Text : public Model {
 public:
  Gemma4Text(const ModelArgs& args, Weights& weights)
      : args_(args),
        caches_(layer_caches(args.layer_types, args.num_kv_shared_layers)),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    if (args.per_layer.dims > 0) per_layer_inputs_.emplace(weights, "model", args.per_layer);
    const RoPE local_rope = rope("sliding_attention", args.head_dim);
    const RoPE global_rope = rope("full_attention", args.full_head_dim());
    for (size_t i = 0; i < caches_.size(); i++) {
      const std::string path = "model.layers." + std::to_string(i);
      layers_.emplace_back(args, weights, path, i, args.is_sliding(i) ? local_rope : global_rope);
    }
    if (!args.tie_word_embeddings) {
      lm_head_.emplace(weights, "lm_head", args.hidden_size, args.vocab_size);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens) * std::sqrt(static_cast<float>(args_.hidden_size));
    const array inputs = per_layer_inputs_ ? (*per_layer_inputs_)(tokens, h) : array();
    const Masks masks(cache, tokens);
    const Positions offset = cache.attention(0).offset();
    for (size_t i = 0; i < layers_.size(); i++) {
      const size_t from = caches_[i];
      const array input = inputs ? per_layer_inputs_->of_layer(inputs, i) : array();
      h = layers_[i](h, masks[from], cache.attention(from), offset, input);
    }
    return norm_(h);
  }

  array logits(const array& hidden) const override {
    const array logits = lm_head_ ? (*lm_head_)(hidden) : embed_tokens_.as_linear(hidden);
    const float cap = args_.final_logit_softcapping;
    return cap > 0 ? softcap(logits, cap) : logits;
  }

  Cache make_cache() const override {
    Cache cache;
    for (size_t i = 0; i < args_.first_shared(); i++) {
      if (args_.is_sliding(i)) {
        cache.add<RotatingKVCache>(args_.sliding_window);
      } else {
        cache.add<KVCache>();
      }
    }
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  RoPE rope(const std::string& kind, int head_dim) const {
    const Config& parameters = args_.rope_parameters[kind];
    return RoPE(
        head_dim, parameters.positive_number("rope_theta", 10000.0f), args_.rope_traditional,
        parameters, args_.max_position_embeddings);
  }

  ModelArgs args_;
  std::vector<size_t> caches_;  // by layer
  Embedding embed_tokens_;
  std::optional<PerLayerInputs> per_layer_inputs_;
  std::vector<TransformerBlock> layers_;
  RMSNorm norm_;
  std::optional<Linear> lm_head_;
};

/// A layer that shares keys and values may bring the matrices for its own: nobody needs them.
void drop_keys(Weights& weights, const std::string& path) {
  weights.drop([&](const std::string& name) {
    return name.starts_with(path + ".k_proj.") || name.starts_with(path + ".v_proj.") ||
           name.starts_with(path + ".k_norm.");
  });
}

/// The publisher stacks the experts' gate_proj on their up_proj.
void split_experts(const ModelArgs& args, Weights& weights, const std::string& path) {
  const std::string to = path + ".switch_glu.";
  if (weights.has(path + ".gate_up_proj")) {
    const int dims = args.moe_intermediate_size;
    const array both =
        weights.extract(path + ".gate_up_proj", {args.num_experts, 2 * dims, args.hidden_size});
    weights.put(to + "gate_proj.weight", mx::contiguous(mx::slice(both, 1, 0, dims)));
    weights.put(to + "up_proj.weight", mx::contiguous(mx::slice(both, 1, dims, 2 * dims)));
  }
  if (weights.has(path + ".down_proj")) {
    weights.put(to + "down_proj.weight", weights.extract(path + ".down_proj"));
  }
}

}  // namespace

std::unique_ptr<Model> make_gemma4_text(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.drop([](const std::string& name) {
    // Bounds of activations, for those who quantize them.
    return name.ends_with("_max") || name.ends_with("_min") ||
           name.find("self_attn.rotary_emb") != std::string::npos;
  });
  for (int i = 0; i < args.num_hidden_layers; i++) {
    const std::string path = "model.layers." + std::to_string(i);
    if (static_cast<size_t>(i) >= args.first_shared()) drop_keys(weights, path + ".self_attn");
    if (args.enable_moe_block) split_experts(args, weights, path + ".experts");
  }
  weights.keep_8_bits({".router.proj"});
  return std::make_unique<Gemma4Text>(args, weights);
}
