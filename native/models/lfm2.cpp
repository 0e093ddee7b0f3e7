// LFM2, dense: https://arxiv.org/abs/2511.23404

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/layer_types.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"

namespace {

using mx::array;

/// The layers that attend, in one of two ways to say it; all others convolve.
std::vector<int> attention_layers(const Config& config, int num_hidden_layers) {
  if (config.has("full_attn_idxs")) return config.counts("full_attn_idxs");
  const auto types = required_layer_types(config, num_hidden_layers, {"full_attention", "conv"});
  std::vector<int> layers;
  for (int i = 0; i < num_hidden_layers; i++) {
    if (types[static_cast<size_t>(i)] == "full_attention") layers.push_back(i);
  }
  return layers;
}

/// The width inside an MLP: the configured one, or what training derived of it.
int mlp_dims(const Config& config) {
  const int configured = config.has("block_ff_dim") ? config.positive("block_ff_dim")
                                                    : config.positive("intermediate_size");
  if (!config.boolean("block_auto_adjust_ff_dim", true)) return configured;
  const float multiplier = config.positive_number("block_ffn_dim_multiplier", 1.0f);
  const auto multiple_of = static_cast<float>(config.positive("block_multiple_of"));
  const int64_t two_thirds = int64_t{2} * configured / 3;
  const float wanted = std::floor(multiplier * static_cast<float>(two_thirds));
  const float dims = std::ceil(wanted / multiple_of) * multiple_of;
  if (!(dims >= 1 && dims <= static_cast<float>(most_width))) {
    refuse_config("\"block_ff_dim\" gives an MLP of no usable width");
  }
  return static_cast<int>(dims);
}

struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int num_attention_heads;
  int num_key_value_heads;
  int vocab_size;
  float norm_eps;
  bool conv_bias;
  int conv_L_cache;
  int mlp_dims;
  float rope_theta;
  std::vector<int> full_attn_idxs;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads", num_attention_heads)),
        vocab_size(config.positive("vocab_size")),
        norm_eps(config.positive_number("norm_eps")),
        conv_bias(config.boolean("conv_bias", false)),
        conv_L_cache(config.positive("conv_L_cache")),
        mlp_dims(::mlp_dims(config)),
        rope_theta(::rope_theta(config, 1000000.0f)),
        full_attn_idxs(attention_layers(config, num_hidden_layers)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim());
  }

  int head_dim() const { return hidden_size / num_attention_heads; }

  bool is_attention(int layer) const {
    return std::ranges::find(full_attn_idxs, layer) != full_attn_idxs.end();
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim()))),
        q_layernorm_(weights, path + ".q_layernorm", args.head_dim(), args.norm_eps),
        k_layernorm_(weights, path + ".k_layernorm", args.head_dim(), args.norm_eps),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim()),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim()),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim()),
        out_proj_(weights, path + ".out_proj", n_heads_ * args.head_dim(), args.hidden_size),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(q_layernorm_(queries), k_layernorm_(keys), cache.offset());
    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return out_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  RMSNorm q_layernorm_, k_layernorm_;
  Linear q_proj_, k_proj_, v_proj_, out_proj_;
  RoPE rope_;
};

/// A short convolution between two gates.
class ShortConv {
 public:
  ShortConv(const ModelArgs& args, Weights& weights, const std::string& path)
      : dims_(args.hidden_size),
        conv_(weights, path + ".conv", dims_, args.conv_L_cache, args.conv_bias),
        in_proj_(weights, path + ".in_proj", dims_, 3 * dims_, args.conv_bias),
        out_proj_(weights, path + ".out_proj", dims_, dims_, args.conv_bias) {}

  array operator()(const array& hidden, int batch, StateCache& cache) const {
    const array BCx = in_proj_(hidden);  // (B · L, 3 · D)
    const array B = mx::slice(BCx, 1, 0, dims_);
    const array C = mx::slice(BCx, 1, dims_, 2 * dims_);
    const array x = mx::slice(BCx, 1, 2 * dims_, 3 * dims_);
    const array convolved = conv_(mx::reshape(B * x, {batch, -1, dims_}), cache[0]);
    return out_proj_(C * mx::reshape(convolved, {-1, dims_}));
  }

 private:
  int dims_;
  CausalConv conv_;
  Linear in_proj_, out_proj_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : w1_(weights, path + ".w1", args.hidden_size, args.mlp_dims),
        w3_(weights, path + ".w3", args.hidden_size, args.mlp_dims),
        w2_(weights, path + ".w2", args.mlp_dims, args.hidden_size) {}

  array operator()(const array& x) const { return w2_(swiglu(w1_(x), w3_(x))); }

 private:
  Linear w1_, w3_, w2_;
};

class DecoderLayer {
 public:
  DecoderLayer(
      const ModelArgs& args, Weights& weights, const std::string& path, bool is_attention,
      const RoPE& rope)
      : feed_forward_(args, weights, path + ".feed_forward"),
        operator_norm_(weights, path + ".operator_norm", args.hidden_size, args.norm_eps),
        ffn_norm_(weights, path + ".ffn_norm", args.hidden_size, args.norm_eps) {
    if (is_attention) {
      self_attn_.emplace(args, weights, path + ".self_attn", rope);
    } else {
      conv_.emplace(args, weights, path + ".conv");
    }
  }

  array operator()(const array& x, const Masks& masks, Cache& cache, size_t layer) const {
    const array normed = operator_norm_(x);
    const array h = x + (conv_ ? (*conv_)(normed, masks.batch(), cache.state(layer))
                               : (*self_attn_)(normed, masks[layer], cache.attention(layer)));
    return h + feed_forward_(ffn_norm_(h));
  }

 private:
  std::optional<Attention> self_attn_;
  std::optional<ShortConv> conv_;
  MLP feed_forward_;
  RMSNorm operator_norm_, ffn_norm_;
};

class Lfm2 : public Model {
 public:
  Lfm2(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        embedding_norm_(weights, "model.embedding_norm", args.hidden_size, args.norm_eps) {
    const RoPE rope(args.head_dim(), args.rope_theta);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      const std::string path = "model.layers." + std::to_string(i);
      layers_.emplace_back(args, weights, path, args.is_attention(i), rope);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks, cache, i);
    return embedding_norm_(h);
  }

  array logits(const array& hidden) const override { return embed_tokens_.as_linear(hidden); }

  Cache make_cache() const override {
    Cache cache;
    for (int i = 0; i < args_.num_hidden_layers; i++) {
      if (args_.is_attention(i)) {
        cache.add<KVCache>();
      } else {
        cache.add<StateCache>(1);
      }
    }
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  ModelArgs args_;
  Embedding embed_tokens_;
  std::vector<DecoderLayer> layers_;
  RMSNorm embedding_norm_;
};

}  // namespace

std::unique_ptr<Model> make_lfm2(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  transpose_conv_weights(weights, ".conv.weight");
  return std::make_unique<Lfm2>(args, weights);
}
