// LFM2 with a mixture of experts: https://arxiv.org/abs/2511.23404

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
#include "nn/switch_layers.h"

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

struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int num_attention_heads;
  int num_key_value_heads;
  int vocab_size;
  float norm_eps;
  bool conv_bias;
  int conv_L_cache;
  int intermediate_size;
  int moe_intermediate_size;
  int num_dense_layers;
  int num_experts;
  int num_experts_per_tok;
  bool norm_topk_prob;
  bool use_expert_bias;
  float routed_scaling_factor;
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
        intermediate_size(config.positive("intermediate_size")),
        moe_intermediate_size(config.positive("moe_intermediate_size")),
        num_dense_layers(config.count("num_dense_layers", 0)),
        num_experts(config.positive("num_experts")),
        num_experts_per_tok(config.positive("num_experts_per_tok")),
        norm_topk_prob(config.boolean("norm_topk_prob", true)),
        use_expert_bias(config.boolean("use_expert_bias", true)),
        routed_scaling_factor(config.number("routed_scaling_factor", 1.0f)),
        rope_theta(::rope_theta(config, 1000000.0f)),
        full_attn_idxs(attention_layers(config, num_hidden_layers)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim());
    check_experts(num_experts, num_experts_per_tok);
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
      : gate_proj_(weights, path + ".gate_proj", args.hidden_size, args.intermediate_size),
        up_proj_(weights, path + ".up_proj", args.hidden_size, args.intermediate_size),
        down_proj_(weights, path + ".down_proj", args.intermediate_size, args.hidden_size) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, up_proj_, down_proj_;
};

class SparseMoeBlock {
 public:
  SparseMoeBlock(const ModelArgs& args, Weights& weights, const std::string& path)
      : top_k_(args.num_experts_per_tok),
        norm_topk_prob_(args.norm_topk_prob),
        routed_scaling_factor_(args.routed_scaling_factor),
        gate_(weights, path + ".gate", args.hidden_size, args.num_experts),
        switch_mlp_(
            weights, path + ".switch_mlp", args.hidden_size, args.moe_intermediate_size,
            args.num_experts) {
    if (args.use_expert_bias)
      expert_bias_ = weights.take(path + ".expert_bias", {args.num_experts});
  }

  array operator()(const array& x) const {
    const array routing_weights = mx::sigmoid(gate_(x));  // (n, experts)
    // The bias, which evens out the load, has a say in the choice of experts, but none in the sum.
    const array ranking =
        expert_bias_ ? mx::astype(routing_weights, mx::float32) + expert_bias_ : routing_weights;
    const array experts = top_k(ranking, top_k_);  // (n, k)
    array scores = mx::take_along_axis(routing_weights, experts, -1);
    if (norm_topk_prob_) scores = scores / (mx::sum(scores, -1) + 1e-6f);
    return weighted_sum(switch_mlp_(x, experts), scores * routed_scaling_factor_);
  }

 private:
  int top_k_;
  bool norm_topk_prob_;
  float routed_scaling_factor_;
  Linear gate_;
  SwitchGLU switch_mlp_;
  array expert_bias_;  // (experts), empty without bias
};

class DecoderLayer {
 public:
  DecoderLayer(
      const ModelArgs& args, Weights& weights, const std::string& path, int layer, const RoPE& rope)
      : operator_norm_(weights, path + ".operator_norm", args.hidden_size, args.norm_eps),
        ffn_norm_(weights, path + ".ffn_norm", args.hidden_size, args.norm_eps) {
    if (args.is_attention(layer)) {
      self_attn_.emplace(args, weights, path + ".self_attn", rope);
    } else {
      conv_.emplace(args, weights, path + ".conv");
    }
    if (layer < args.num_dense_layers) {
      mlp_.emplace(args, weights, path + ".feed_forward");
    } else {
      moe_.emplace(args, weights, path + ".feed_forward");
    }
  }

  array operator()(const array& x, const Masks& masks, Cache& cache, size_t layer) const {
    const array normed = operator_norm_(x);
    const array h = x + (conv_ ? (*conv_)(normed, masks.batch(), cache.state(layer))
                               : (*self_attn_)(normed, masks[layer], cache.attention(layer)));
    const array fed = ffn_norm_(h);
    return h + (mlp_ ? (*mlp_)(fed) : (*moe_)(fed));
  }

 private:
  std::optional<Attention> self_attn_;
  std::optional<ShortConv> conv_;
  std::optional<MLP> mlp_;
  std::optional<SparseMoeBlock> moe_;
  RMSNorm operator_norm_, ffn_norm_;
};

class Lfm2Moe : public Model {
 public:
  Lfm2Moe(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        embedding_norm_(weights, "model.embedding_norm", args.hidden_size, args.norm_eps) {
    const RoPE rope(args.head_dim(), args.rope_theta);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      const std::string path = "model.layers." + std::to_string(i);
      layers_.emplace_back(args, weights, path, i, rope);
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

/// Publishers' w1, w2 and w3 are gate_proj, down_proj and up_proj.
void rename_mlps(Weights& weights) {
  weights.rename([](const std::string& name) {
    for (const auto& [from, to] :
         {std::pair(".w1.", ".gate_proj."), {".w2.", ".down_proj."}, {".w3.", ".up_proj."}}) {
      const size_t at = name.find(from);
      if (at != std::string::npos) return std::string(name).replace(at, 4, to);
    }
    return name;
  });
}

}  // namespace

std::unique_ptr<Model> make_lfm2_moe(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  transpose_conv_weights(weights, ".conv.weight");
  rename_mlps(weights);
  weights.keep_8_bits({"feed_forward.gate"});
  weights.keep_dtype({"expert_bias"});
  for (int i = args.num_dense_layers; i < args.num_hidden_layers; i++) {
    const std::string path = "model.layers." + std::to_string(i) + ".feed_forward";
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      stack_experts(weights, path, name, name, args.num_experts);
    }
  }
  return std::make_unique<Lfm2Moe>(args, weights);
}
