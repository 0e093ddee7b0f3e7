// Qwen 3, dense: https://arxiv.org/abs/2505.09388

#include <cmath>
#include <optional>
#include <tuple>

#include "mlx/ops.h"
#include "models/checks.h"
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

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim")),
        vocab_size(config.positive("vocab_size")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        tie_word_embeddings(config.boolean("tie_word_embeddings", true)),
        rope_theta(::rope_theta(config, 1000000.0f)),
        rope_scaling(::rope_scaling(config)),
        max_position_embeddings(config.count("max_position_embeddings", 0)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
  }

  /// Leaves what this process has where several share the model.
  void share(const Weights& weights) {
    num_attention_heads = weights.share("num_attention_heads", num_attention_heads);
    num_key_value_heads = weights.share("num_key_value_heads", num_key_value_heads);
    intermediate_size = weights.share("intermediate_size", intermediate_size);
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
            Sharding::all_to_sharded),
        k_proj_(
            weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            Sharding::all_to_sharded),
        v_proj_(
            weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            Sharding::all_to_sharded),
        o_proj_(
            weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size,
            Sharding::sharded_to_all),
        q_norm_(weights, path + ".q_norm", args.head_dim, args.rms_norm_eps),
        k_norm_(weights, path + ".k_norm", args.head_dim, args.rms_norm_eps),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(q_norm_(queries), k_norm_(keys), cache.offset());
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
  RoPE rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : gate_proj_(
            weights, path + ".gate_proj", args.hidden_size, args.intermediate_size,
            Sharding::all_to_sharded),
        down_proj_(
            weights, path + ".down_proj", args.intermediate_size, args.hidden_size,
            Sharding::sharded_to_all),
        up_proj_(
            weights, path + ".up_proj", args.hidden_size, args.intermediate_size,
            Sharding::all_to_sharded) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, down_proj_, up_proj_;
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : self_attn_(args, weights, path + ".self_attn", rope),
        mlp_(args, weights, path + ".mlp"),
        input_layernorm_(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps),
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = x + self_attn_(input_layernorm_(x), mask, cache);
    return h + mlp_(post_attention_layernorm_(h));
  }

 private:
  Attention self_attn_;
  MLP mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
};

class Qwen3 : public Model {
 public:
  Qwen3(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(
        args.head_dim, args.rope_theta, false, args.rope_scaling, args.max_position_embeddings);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), rope);
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

std::unique_ptr<Model> make_qwen3(const Config& config, Weights& weights) {
  ModelArgs args(config);
  args.share(weights);
  weights.drop([&](const std::string& name) {
    // Old checkpoints carry computed frequencies, tied ones at times a copy of the head.
    return name.ends_with("rotary_emb.inv_freq") ||
           (args.tie_word_embeddings && name.starts_with("lm_head."));
  });
  return std::make_unique<Qwen3>(args, weights);
}
