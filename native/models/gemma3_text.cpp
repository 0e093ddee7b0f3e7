// Gemma 3, text only: https://arxiv.org/abs/2503.19786

#include <cmath>
#include <optional>
#include <tuple>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/encoders.h"
#include "models/layer_types.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"

namespace {

using mx::array;

/// The defaults are those of the released 1B model, whose config.json leaves most of them out.
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
  float rope_local_base_freq;
  Config rope_scaling;
  int max_position_embeddings;
  float query_pre_attn_scalar;
  int sliding_window;
  int sliding_window_pattern;
  std::vector<std::string> layer_types;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size", 1152)),
        num_hidden_layers(config.positive("num_hidden_layers", 26)),
        intermediate_size(config.positive("intermediate_size", 6912)),
        num_attention_heads(config.positive("num_attention_heads", 4)),
        num_key_value_heads(config.positive("num_key_value_heads", 1)),
        head_dim(config.positive("head_dim", 256)),
        vocab_size(config.positive("vocab_size", 262144)),
        rms_norm_eps(config.positive_number("rms_norm_eps", 1e-6f)),
        rope_theta(full_attention_rope(config).positive_number(
            "rope_theta", ::rope_theta(config, 1000000.0f))),
        rope_local_base_freq(sliding_attention_rope(config).positive_number(
            "rope_theta", config.positive_number("rope_local_base_freq", 10000.0f))),
        rope_scaling(
            full_attention_rope(config).is_object() ? full_attention_rope(config)
                                                    : ::rope_scaling(config)),
        max_position_embeddings(config.positive("max_position_embeddings", 32768)),
        query_pre_attn_scalar(config.positive_number("query_pre_attn_scalar", 256.0f)),
        sliding_window(config.positive("sliding_window", 512)),
        sliding_window_pattern(config.positive("sliding_window_pattern", 6)),
        layer_types(::layer_types(config, num_hidden_layers)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
  }

  /// Every `sliding_window_pattern`-th layer looks at everything, unless `layer_types` says more.
  bool is_sliding(int layer) const {
    if (layer_types.empty()) return (layer + 1) % sliding_window_pattern != 0;
    return layer_types[static_cast<size_t>(layer)] == "sliding_attention";
  }

 private:
  // transformers 5 nests the settings of both kinds of layers under "rope_parameters".
  static const Config& full_attention_rope(const Config& config) {
    return config["rope_parameters"]["full_attention"];
  }
  static const Config& sliding_attention_rope(const Config& config) {
    return config["rope_parameters"]["sliding_attention"];
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(args.query_pre_attn_scalar)),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        q_norm_(gemma_norm(weights, path + ".q_norm", args.head_dim, args.rms_norm_eps)),
        k_norm_(gemma_norm(weights, path + ".k_norm", args.head_dim, args.rms_norm_eps)),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const auto [queries, keys, values] = project(x, mask, cache.offset());
    cache.append(keys, values);
    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(merge_heads(output));
  }

  /// Of whole texts, which need no cache.
  array operator()(const array& x, const Mask& mask) const {
    const auto [queries, keys, values] = project(x, mask, Positions(0));
    const array output = scaled_dot_product_attention(queries, keys, values, scale_, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  struct Projected {
    array queries, keys, values;
  };

  Projected project(const array& x, const Mask& mask, const Positions& offset) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);
    std::tie(queries, keys) = rope_(q_norm_(queries), k_norm_(keys), offset);
    return {queries, keys, values};
  }

  int n_heads_;
  int n_kv_heads_;
  float scale_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  RMSNorm q_norm_, k_norm_;
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

/// x + y, which in float16 can pass the largest number: there it is held at that number.
array clip_residual(const array& x, const array& y) {
  if (x.dtype() != mx::float16) return x + y;
  constexpr float bound = 65504.0f;
  const array sum = mx::astype(x, mx::float32) + mx::astype(y, mx::float32);
  const array low = mx::scalar(-bound, mx::float32);
  const array high = mx::scalar(bound, mx::float32);
  return mx::astype(mx::clip(sum, low, high), mx::float16);
}

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

  /// With a cache, or, for whole texts, without.
  template <typename... Caches>
  array operator()(const array& x, const Mask& mask, Caches&... cache) const {
    const array attended = self_attn_(input_layernorm_(x), mask, cache...);
    const array h = clip_residual(x, post_attention_layernorm_(attended));
    const array fed = mlp_(pre_feedforward_layernorm_(h));
    return clip_residual(h, post_feedforward_layernorm_(fed));
  }

 private:
  Attention self_attn_;
  MLP mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
  RMSNorm pre_feedforward_layernorm_, post_feedforward_layernorm_;
};

/// √hidden_size, rounded to bfloat16 as in training, whatever the model computes in.
float embed_scale(int hidden_size) {
  const float scale = std::sqrt(static_cast<float>(hidden_size));
  return mx::astype(mx::scalar(scale, mx::bfloat16), mx::float32).item_float32();
}

/// All but the head.
class Layers {
 public:
  Layers(const ModelArgs& args, Weights& weights)
      : embed_scale_(embed_scale(args.hidden_size)),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(gemma_norm(weights, "model.norm", args.hidden_size, args.rms_norm_eps)) {
    const RoPE local_rope(args.head_dim, args.rope_local_base_freq);
    const RoPE global_rope(
        args.head_dim, args.rope_theta, false, args.rope_scaling, args.max_position_embeddings);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      const std::string path = "model.layers." + std::to_string(i);
      layers_.emplace_back(args, weights, path, args.is_sliding(i) ? local_rope : global_rope);
    }
  }

  array embed(const array& tokens) const { return embed_tokens_(tokens) * embed_scale_; }

  /// `apply` computes one layer, of the number that it is given.
  template <typename Apply>
  array operator()(array h, Apply apply) const {
    for (size_t i = 0; i < layers_.size(); i++) h = apply(layers_[i], h, i);
    return norm_(h);
  }

  array as_head(const array& hidden) const { return embed_tokens_.as_linear(hidden); }

 private:
  float embed_scale_;
  Embedding embed_tokens_;
  std::vector<TransformerBlock> layers_;
  RMSNorm norm_;
};

class Gemma3Text : public Model {
 public:
  Gemma3Text(const ModelArgs& args, Weights& weights) : args_(args), layers_(args, weights) {
    // Released checkpoints are tied; a fine-tuned one may bring its own head.
    if (weights.has("lm_head.weight")) {
      lm_head_.emplace(weights, "lm_head", args.hidden_size, args.vocab_size);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    return read_images(tokens, {}, cache);
  }

  array read_images(
      const array& tokens, std::span<const SeenImage> images, Cache& cache) const override {
    array h = layers_.embed(tokens);
    if (!images.empty()) h = with_images(h, images);
    const Masks masks(cache, tokens, images);
    return layers_(h, [&](const TransformerBlock& layer, const array& h, size_t i) {
      return layer(h, masks[i], cache.attention(i));
    });
  }

  array logits(const array& hidden) const override {
    return lm_head_ ? (*lm_head_)(hidden) : layers_.as_head(hidden);
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
  Layers layers_;
  std::optional<Linear> lm_head_;
};

/// EmbeddingGemma: every token looks both ways, in sliding layers half as far on each side.
class Gemma3TextEncoder : public Encoder {
 public:
  Gemma3TextEncoder(const ModelArgs& args, Weights& weights)
      : args_(args), layers_(args, weights) {}

  array operator()(const Texts& texts) const override {
    const Mask all = texts.whole();
    const Mask window = texts.near(args_.sliding_window / 2);
    return layers_(
        layers_.embed(texts.tokens()),
        [&](const TransformerBlock& layer, const array& h, size_t i) {
          return layer(h, args_.is_sliding(static_cast<int>(i)) ? window : all);
        });
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  ModelArgs args_;
  Layers layers_;
};

}  // namespace

std::unique_ptr<Model> make_gemma3_text(const Config& config, Weights& weights) {
  return std::make_unique<Gemma3Text>(ModelArgs(config), weights);
}

std::unique_ptr<Encoder> make_gemma3_text_encoder(const Config& config, Weights& weights) {
  add_prefix(weights, "model.", "embed_tokens.weight");
  return std::make_unique<Gemma3TextEncoder>(ModelArgs(config), weights);
}
