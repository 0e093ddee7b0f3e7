// Granite 4: https://www.ibm.com/granite/docs/models/granite

#include <algorithm>
#include <optional>
#include <tuple>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/layer_types.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/mamba2.h"
#include "nn/norm.h"
#include "nn/rope.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

struct ModelArgs {
  int vocab_size;
  int hidden_size;
  int intermediate_size;
  int num_hidden_layers;
  int num_attention_heads;
  int num_key_value_heads;
  bool attention_bias;
  float embedding_multiplier;
  float attention_multiplier;
  float logits_scaling;
  float residual_multiplier;
  std::vector<std::string> layer_types;
  float rms_norm_eps;
  int num_local_experts;  // 0: one MLP for all tokens
  int num_experts_per_tok;
  int shared_intermediate_size;
  bool mlp_bias;
  bool use_rope;
  bool tie_word_embeddings;
  float rope_theta;
  std::optional<Mamba2Mixer::Args> mamba;

  explicit ModelArgs(const Config& config)
      : vocab_size(config.positive("vocab_size")),
        hidden_size(config.positive("hidden_size")),
        intermediate_size(config.positive("intermediate_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        attention_bias(config.boolean("attention_bias", false)),
        embedding_multiplier(config.number("embedding_multiplier")),
        attention_multiplier(config.number("attention_multiplier")),
        logits_scaling(config.positive_number("logits_scaling")),
        residual_multiplier(config.number("residual_multiplier")),
        layer_types(required_layer_types(config, num_hidden_layers, {"mamba", "attention"})),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        num_local_experts(config.count("num_local_experts", 0)),
        num_experts_per_tok(use_moe() ? config.positive("num_experts_per_tok") : 0),
        shared_intermediate_size(use_moe() ? config.positive("shared_intermediate_size") : 0),
        mlp_bias(config.boolean("mlp_bias", false)),
        use_rope(config.text("position_embedding_type", "rope") != "nope"),
        tie_word_embeddings(config.boolean("tie_word_embeddings", true)),
        rope_theta(::rope_theta(config, 10000.0f)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim());
    check_width("intermediate_size", intermediate_size);
    check_width("shared_intermediate_size", shared_intermediate_size);
    check_experts(num_local_experts, num_experts_per_tok);
    if (std::ranges::find(layer_types, "mamba") == layer_types.end()) return;
    mamba = {
        .hidden_size = hidden_size,
        .num_heads = config.positive("mamba_n_heads"),
        .head_dim = config.positive("mamba_d_head"),
        .state_size = config.positive("mamba_d_state"),
        .n_groups = config.positive("mamba_n_groups"),
        .conv_kernel = config.positive("mamba_d_conv"),
        .proj_bias = config.boolean("mamba_proj_bias", false),
        .conv_bias = config.boolean("mamba_conv_bias", false),
        .time_step_limit = time_step_limit(config, {.least = 0.001f, .most = 100.0f}),
        .norm_eps = rms_norm_eps};
  }

  int head_dim() const { return hidden_size / num_attention_heads; }
  bool use_moe() const { return num_local_experts > 0; }
  bool is_mamba(size_t layer) const { return layer_types[layer] == "mamba"; }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(args.attention_multiplier),
        q_proj_(
            weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim(),
            args.attention_bias),
        k_proj_(
            weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim(),
            args.attention_bias),
        v_proj_(
            weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim(),
            args.attention_bias),
        o_proj_(
            weights, path + ".o_proj", n_heads_ * args.head_dim(), args.hidden_size,
            args.attention_bias) {
    if (args.use_rope) rope_ = rope;
  }

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    if (rope_) std::tie(queries, keys) = (*rope_)(queries, keys, cache.offset());
    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  std::optional<RoPE> rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : gate_proj_(
            weights, path + ".gate_proj", args.hidden_size, args.intermediate_size, args.mlp_bias),
        down_proj_(
            weights, path + ".down_proj", args.intermediate_size, args.hidden_size, args.mlp_bias),
        up_proj_(
            weights, path + ".up_proj", args.hidden_size, args.intermediate_size, args.mlp_bias) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, down_proj_, up_proj_;
};

/// The MLP that every token goes through beside its experts, with gate and projection in one
/// matrix.
class SharedMLP {
 public:
  SharedMLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : hidden_dims_(args.shared_intermediate_size),
        input_linear_(weights, path + ".input_linear", args.hidden_size, 2 * hidden_dims_),
        output_linear_(weights, path + ".output_linear", hidden_dims_, args.hidden_size) {}

  array operator()(const array& x) const {
    const array both = input_linear_(x);
    const array gate = mx::slice(both, 1, 0, hidden_dims_);
    return output_linear_(swiglu(gate, mx::slice(both, 1, hidden_dims_, 2 * hidden_dims_)));
  }

 private:
  int hidden_dims_;
  Linear input_linear_, output_linear_;
};

class MoE {
 public:
  MoE(const ModelArgs& args, Weights& weights, const std::string& path)
      : top_k_(args.num_experts_per_tok),
        router_(weights, path + ".router.layer", args.hidden_size, args.num_local_experts),
        switch_mlp_(
            weights, path + ".switch_mlp", args.hidden_size, args.intermediate_size,
            args.num_local_experts) {}

  array operator()(const array& x) const {
    const array logits = router_(x);              // (n, experts)
    const array experts = top_k(logits, top_k_);  // (n, k)
    const array gates =
        mx::softmax(mx::take_along_axis(logits, experts, -1), -1, /* precise */ true);
    return weighted_sum(switch_mlp_(x, experts), gates);
  }

 private:
  int top_k_;
  Linear router_;
  SwitchGLU switch_mlp_;
};

class Layer {
 public:
  Layer(
      const ModelArgs& args, Weights& weights, const std::string& path, bool is_mamba,
      const RoPE& rope)
      : residual_multiplier_(args.residual_multiplier),
        input_layernorm_(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps),
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps) {
    if (is_mamba) {
      mamba_.emplace(*args.mamba, weights, path + ".mamba");
    } else {
      self_attn_.emplace(args, weights, path + ".self_attn", rope);
    }
    if (args.use_moe()) {
      shared_mlp_.emplace(args, weights, path + ".shared_mlp");
      block_sparse_moe_.emplace(args, weights, path + ".block_sparse_moe");
    } else {
      mlp_.emplace(args, weights, path + ".mlp");
    }
  }

  array operator()(const array& x, const Masks& masks, Cache& cache, size_t layer) const {
    const array normed = input_layernorm_(x);
    const array mixed = mamba_ ? (*mamba_)(normed, masks.batch(), cache.state(layer))
                               : (*self_attn_)(normed, masks[layer], cache.attention(layer));
    const array h = x + mixed * residual_multiplier_;
    const array h_normed = post_attention_layernorm_(h);
    const array fed =
        mlp_ ? (*mlp_)(h_normed) : (*block_sparse_moe_)(h_normed) + (*shared_mlp_)(h_normed);
    return h + fed * residual_multiplier_;
  }

 private:
  float residual_multiplier_;
  std::optional<Mamba2Mixer> mamba_;
  std::optional<Attention> self_attn_;
  std::optional<SharedMLP> shared_mlp_;
  std::optional<MoE> block_sparse_moe_;
  std::optional<MLP> mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
};

class GraniteMoeHybrid : public Model {
 public:
  GraniteMoeHybrid(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(args.head_dim(), args.rope_theta);
    for (size_t i = 0; i < args.layer_types.size(); i++) {
      const std::string path = "model.layers." + std::to_string(i);
      layers_.emplace_back(args, weights, path, args.is_mamba(i), rope);
    }
    if (!args.tie_word_embeddings) {
      lm_head_.emplace(weights, "lm_head", args.hidden_size, args.vocab_size);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens) * args_.embedding_multiplier;
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks, cache, i);
    return norm_(h);
  }

  array logits(const array& hidden) const override {
    const array logits = lm_head_ ? (*lm_head_)(hidden) : embed_tokens_.as_linear(hidden);
    return logits / args_.logits_scaling;
  }

  Cache make_cache() const override {
    Cache cache;
    for (size_t i = 0; i < layers_.size(); i++) {
      if (args_.is_mamba(i)) {
        cache.add<StateCache>(Mamba2Mixer::slots);
      } else {
        cache.add<KVCache>();
      }
    }
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  ModelArgs args_;
  Embedding embed_tokens_;
  std::vector<Layer> layers_;
  RMSNorm norm_;
  std::optional<Linear> lm_head_;
};

/// Publishers keep gate_proj and up_proj, of one MLP or of all experts, in one tensor.
void split_input_linear(
    const ModelArgs& args, Weights& weights, const std::string& from, const std::string& to) {
  const std::string name = from + ".input_linear.weight";
  if (!weights.has(name)) return;
  const int hidden = args.intermediate_size;
  mx::Shape shape = {2 * hidden, args.hidden_size};
  if (args.use_moe()) shape.insert(shape.begin(), args.num_local_experts);
  const array both = weights.extract(name, shape);
  weights.put(to + ".gate_proj.weight", mx::contiguous(mx::slice(both, -2, 0, hidden)));
  weights.put(to + ".up_proj.weight", mx::contiguous(mx::slice(both, -2, hidden, 2 * hidden)));
  if (const array down = weights.extract(from + ".output_linear.weight")) {
    weights.put(to + ".down_proj.weight", down);
  }
}

}  // namespace

std::unique_ptr<Model> make_granitemoehybrid(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  transpose_conv_weights(weights, ".conv1d.weight");
  weights.keep_8_bits({"router.layer"});
  for (int i = 0; i < args.num_hidden_layers; i++) {
    const std::string path = "model.layers." + std::to_string(i);
    if (args.use_moe()) {
      const std::string moe = path + ".block_sparse_moe";
      split_input_linear(args, weights, moe, moe + ".switch_mlp");
    } else {
      split_input_linear(args, weights, path + ".shared_mlp", path + ".mlp");
    }
  }
  weights.drop([&](const std::string& name) {
    // Tied checkpoints carry at times a copy of the head.
    return args.tie_word_embeddings && name == "lm_head.weight";
  });
  return std::make_unique<GraniteMoeHybrid>(args, weights);
}
