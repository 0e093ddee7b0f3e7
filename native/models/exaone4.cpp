// EXAONE 4: https://arxiv.org/abs/2507.11407

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
  float rms_norm_eps;
  bool tie_word_embeddings;
  float rope_theta;
  Config rope_scaling;
  int max_position_embeddings;
  std::vector<std::string> layer_types;
  std::string sliding_window_pattern;
  int sliding_window;  // 0 where no layer slides

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim")),
        vocab_size(config.positive("vocab_size")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        tie_word_embeddings(config.boolean("tie_word_embeddings", false)),
        rope_theta(::rope_theta(config)),
        rope_scaling(::rope_scaling(config)),
        max_position_embeddings(config.positive("max_position_embeddings")),
        layer_types(::layer_types(config, num_hidden_layers)),
        sliding_window_pattern(
            layer_types.empty() ? config.text("sliding_window_pattern", "") : ""),
        sliding_window(slides() ? config.positive("sliding_window") : 0) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
  }

  /// "LLLG" is three local layers, then one that looks at everything, and so on.
  bool is_sliding(int layer) const {
    const size_t i = static_cast<size_t>(layer);
    if (!layer_types.empty()) return layer_types[i] == "sliding_attention";
    const std::string& pattern = sliding_window_pattern;
    return !pattern.empty() && pattern[i % pattern.size()] == 'L';
  }

  /// Where some layers slide, those that look at everything know no positions.
  bool uses_rope(int layer) const { return sliding_window == 0 || is_sliding(layer); }

 private:
  bool slides() const {
    for (int i = 0; i < num_hidden_layers; i++) {
      if (is_sliding(i)) return true;
    }
    return false;
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
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        q_norm_(weights, path + ".q_norm", args.head_dim, args.rms_norm_eps),
        k_norm_(weights, path + ".k_norm", args.head_dim, args.rms_norm_eps),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = q_norm_(split_heads(q_proj_(x), mask.batch, n_heads_));
    array keys = k_norm_(split_heads(k_proj_(x), mask.batch, n_kv_heads_));
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
  RMSNorm q_norm_, k_norm_;
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
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps),
        post_feedforward_layernorm_(
            weights, path + ".post_feedforward_layernorm", args.hidden_size, args.rms_norm_eps) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = x + post_attention_layernorm_(self_attn_(x, mask, cache));
    return h + post_feedforward_layernorm_(mlp_(h));
  }

 private:
  Attention self_attn_;
  MLP mlp_;
  RMSNorm post_attention_layernorm_, post_feedforward_layernorm_;
};

class Exaone4 : public Model {
 public:
  Exaone4(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(
        args.head_dim, args.rope_theta, false, args.rope_scaling, args.max_position_embeddings);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(
          args, weights, "model.layers." + std::to_string(i),
          args.uses_rope(i) ? std::optional(rope) : std::nullopt);
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
  RMSNorm norm_;
  std::optional<Linear> lm_head_;
};

}  // namespace

std::unique_ptr<Model> make_exaone4(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.drop([&](const std::string& name) {
    // Old checkpoints carry computed frequencies, tied ones at times a copy of the head.
    return name.ends_with("rotary_emb.inv_freq") ||
           (args.tie_word_embeddings && name.starts_with("lm_head."));
  });
  return std::make_unique<Exaone4>(args, weights);
}
