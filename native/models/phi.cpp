// Phi 1, 1.5 and 2: https://arxiv.org/abs/2309.05463

#include <cmath>
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
  float layer_norm_eps;
  float rope_theta;
  int rope_dims;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size", 2560)),
        num_hidden_layers(config.positive("num_hidden_layers", 32)),
        intermediate_size(config.positive("intermediate_size", 10240)),
        num_attention_heads(config.positive("num_attention_heads", 32)),
        num_key_value_heads(config.positive("num_key_value_heads", num_attention_heads)),
        head_dim(hidden_size / num_attention_heads),
        vocab_size(config.positive("vocab_size", 51200)),
        layer_norm_eps(config.positive_number("layer_norm_eps", 1e-5f)),
        rope_theta(::rope_theta(config, 10000.0f)),
        rope_dims(rotary_dims(config, head_dim, 0.4f)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
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
            /* has_bias */ true),
        k_proj_(
            weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            /* has_bias */ true),
        v_proj_(
            weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            /* has_bias */ true),
        dense_(
            weights, path + ".dense", n_heads_ * args.head_dim, args.hidden_size,
            /* has_bias */ true),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(queries, keys, cache.offset());
    cache.append(keys, values);

    // As in mlx-lm, scores are float32 whatever the weights are.
    queries = mx::astype(queries, mx::float32);
    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return dense_(mx::astype(merge_heads(output), x.dtype()));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  Linear q_proj_, k_proj_, v_proj_, dense_;
  RoPE rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : fc1_(weights, path + ".fc1", args.hidden_size, args.intermediate_size, /* has_bias */ true),
        fc2_(
            weights, path + ".fc2", args.intermediate_size, args.hidden_size, /* has_bias */ true) {
  }

  array operator()(const array& x) const { return fc2_(gelu_approx(fc1_(x))); }

 private:
  Linear fc1_, fc2_;
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : self_attn_(args, weights, path + ".self_attn", rope),
        mlp_(args, weights, path + ".mlp"),
        input_layernorm_(
            weights, path + ".input_layernorm", args.hidden_size, args.layer_norm_eps) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = input_layernorm_(x);
    return self_attn_(h, mask, cache) + mlp_(h) + x;
  }

 private:
  Attention self_attn_;
  MLP mlp_;
  LayerNorm input_layernorm_;
};

class Phi : public Model {
 public:
  Phi(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        final_layernorm_(weights, "model.final_layernorm", args.hidden_size, args.layer_norm_eps),
        lm_head_(weights, "lm_head", args.hidden_size, args.vocab_size, /* has_bias */ true) {
    const RoPE rope(args.rope_dims, args.rope_theta);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), rope);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks[i], cache.attention(i));
    return final_layernorm_(h);
  }

  array logits(const array& hidden) const override { return lm_head_(hidden); }

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
  LayerNorm final_layernorm_;
  Linear lm_head_;
};

}  // namespace

std::unique_ptr<Model> make_phi(const Config& config, Weights& weights) {
  return std::make_unique<Phi>(ModelArgs(config), weights);
}
