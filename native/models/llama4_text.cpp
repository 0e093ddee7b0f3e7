// MobileLLM-R1, the small dense relatives of Llama 4: https://arxiv.org/abs/2509.24945

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
  int intermediate_size_mlp;
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  int vocab_size;
  float rms_norm_eps;
  float rope_theta;
  std::vector<int> no_rope_layers;  // by layer; despite the name 0 is for those without
  bool use_qk_norm;
  bool tie_word_embeddings;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size_mlp(config.positive("intermediate_size_mlp")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim")),
        vocab_size(config.positive("vocab_size")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        rope_theta(::rope_theta(config)),
        no_rope_layers(config.counts("no_rope_layers")),
        use_qk_norm(config.boolean("use_qk_norm", true)),
        tie_word_embeddings(config.boolean("tie_word_embeddings", true)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_layers("no_rope_layers", no_rope_layers.size(), num_hidden_layers);
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
        use_qk_norm_(args.use_qk_norm),
        eps_(args.rms_norm_eps),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    if (use_qk_norm_) {
      queries = mx::rms_norm(queries, array(), eps_);
      keys = mx::rms_norm(keys, array(), eps_);
    }
    if (rope_) std::tie(queries, keys) = (*rope_)(queries, keys, cache.offset());
    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  bool use_qk_norm_;
  float eps_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  std::optional<RoPE> rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : gate_proj_(weights, path + ".gate_proj", args.hidden_size, args.intermediate_size_mlp),
        down_proj_(weights, path + ".down_proj", args.intermediate_size_mlp, args.hidden_size),
        up_proj_(weights, path + ".up_proj", args.hidden_size, args.intermediate_size_mlp) {}

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
        feed_forward_(args, weights, path + ".feed_forward"),
        input_layernorm_(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps),
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = x + self_attn_(input_layernorm_(x), mask, cache);
    return h + feed_forward_(post_attention_layernorm_(h));
  }

 private:
  Attention self_attn_;
  MLP feed_forward_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
};

class Llama4Text : public Model {
 public:
  Llama4Text(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(args.head_dim, args.rope_theta, /* traditional */ true);
    for (size_t i = 0; i < args.no_rope_layers.size(); i++) {
      layers_.emplace_back(
          args, weights, "model.layers." + std::to_string(i),
          args.no_rope_layers[i] ? std::optional(rope) : std::nullopt);
    }
    if (!args.tie_word_embeddings) {
      output_.emplace(weights, "output", args.hidden_size, args.vocab_size);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks[i], cache.attention(i));
    return norm_(h);
  }

  array logits(const array& hidden) const override {
    return output_ ? (*output_)(hidden) : embed_tokens_.as_linear(hidden);
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
  std::optional<Linear> output_;
};

}  // namespace

std::unique_ptr<Model> make_llama4_text(const Config& config, Weights& weights) {
  return std::make_unique<Llama4Text>(ModelArgs(config), weights);
}
