// Command R7B and Command A: https://arxiv.org/abs/2504.00698

#include <cmath>
#include <optional>
#include <tuple>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/layer_types.h"
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
  bool layer_norm_bias;
  bool attention_bias;
  float logit_scale;
  float rope_theta;
  int sliding_window;
  int sliding_window_pattern;
  std::vector<std::string> layer_types;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size", 4096)),
        num_hidden_layers(config.positive("num_hidden_layers", 32)),
        intermediate_size(config.positive("intermediate_size", 14336)),
        num_attention_heads(config.positive("num_attention_heads", 32)),
        num_key_value_heads(config.positive("num_key_value_heads", 8)),
        head_dim(config.positive("head_dim", 128)),
        vocab_size(config.positive("vocab_size", 256000)),
        layer_norm_eps(config.positive_number("layer_norm_eps", 1e-5f)),
        layer_norm_bias(config.boolean("layer_norm_bias", false)),
        attention_bias(config.boolean("attention_bias", false)),
        logit_scale(config.number("logit_scale", 0.0625f)),
        rope_theta(::rope_theta(config, 50000.0f)),
        sliding_window(config.positive("sliding_window", 4096)),
        sliding_window_pattern(config.positive("sliding_window_pattern", 4)),
        layer_types(::layer_types(config, num_hidden_layers)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
  }

  /// Every `sliding_window_pattern`-th layer looks at everything, unless `layer_types` says more.
  bool is_sliding(int layer) const {
    if (layer_types.empty()) return (layer + 1) % sliding_window_pattern != 0;
    return layer_types[static_cast<size_t>(layer)] == "sliding_attention";
  }
};

class Attention {
 public:
  Attention(
      const ModelArgs& args, Weights& weights, const std::string& path,
      const std::optional<RoPE>& rope)
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
        o_proj_(
            weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size,
            args.attention_bias),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    if (rope_) std::tie(queries, keys) = (*rope_)(queries, keys, cache.offset());
    cache.append(keys, values);

    // Scores can pass the largest float16.
    if (x.dtype() == mx::float16) queries = mx::astype(queries, mx::float32);
    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(mx::astype(merge_heads(output), x.dtype()));
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
      const ModelArgs& args, Weights& weights, const std::string& path,
      const std::optional<RoPE>& rope)
      : self_attn_(args, weights, path + ".self_attn", rope),
        mlp_(args, weights, path + ".mlp"),
        input_layernorm_(
            weights, path + ".input_layernorm", args.hidden_size, args.layer_norm_eps,
            args.layer_norm_bias) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = input_layernorm_(x);
    return self_attn_(h, mask, cache) + mlp_(h) + x;
  }

 private:
  Attention self_attn_;
  MLP mlp_;
  LayerNorm input_layernorm_;
};

class Cohere2 : public Model {
 public:
  Cohere2(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.layer_norm_eps, args.layer_norm_bias) {
    const RoPE rope(args.head_dim, args.rope_theta, /* traditional */ true);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      // The layers that look at everything know no positions.
      layers_.emplace_back(
          args, weights, "model.layers." + std::to_string(i),
          args.is_sliding(i) ? std::optional(rope) : std::nullopt);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks[i], cache.attention(i));
    return norm_(h);
  }

  array logits(const array& hidden) const override {
    return embed_tokens_.as_linear(hidden) * args_.logit_scale;
  }

  Cache make_cache() const override {
    Cache cache;
    for (int i = 0; i < args_.num_hidden_layers; i++) {
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
  ModelArgs args_;
  Embedding embed_tokens_;
  std::vector<TransformerBlock> layers_;
  LayerNorm norm_;
};

}  // namespace

std::unique_ptr<Model> make_cohere2(const Config& config, Weights& weights) {
  return std::make_unique<Cohere2>(ModelArgs(config), weights);
}
