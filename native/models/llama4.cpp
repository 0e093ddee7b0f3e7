// The text model of Llama 4: https://ai.meta.com/blog/llama-4-multimodal-intelligence/

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
#include "nn/switch_layers.h"

namespace {

using mx::array;

/// Older checkpoints give a number, of which 0 is no, newer ones true or false.
bool tunes_temperature(const Config& config) {
  const std::string key = "attn_temperature_tuning";
  return config[key].is_boolean() ? config.boolean(key, true) : config.number(key, 4.0f) != 0.0f;
}

struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int intermediate_size;
  int intermediate_size_mlp;
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  int vocab_size;
  float rms_norm_eps;
  bool attention_bias;
  int attention_chunk_size;
  float rope_theta;
  Config rope_scaling;
  int max_position_embeddings;
  bool use_qk_norm;
  bool attn_temperature_tuning;
  int floor_scale;
  float attn_scale;
  int num_local_experts;
  int interleave_moe_layer_step;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        intermediate_size_mlp(config.positive("intermediate_size_mlp")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim", hidden_size / num_attention_heads)),
        vocab_size(config.positive("vocab_size")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        attention_bias(config.boolean("attention_bias", false)),
        attention_chunk_size(config.positive("attention_chunk_size")),
        rope_theta(::rope_theta(config)),
        rope_scaling(::rope_scaling(config)),
        max_position_embeddings(config.positive("max_position_embeddings")),
        use_qk_norm(config.boolean("use_qk_norm", true)),
        attn_temperature_tuning(tunes_temperature(config)),
        floor_scale(config.positive("floor_scale", 8192)),
        attn_scale(config.number("attn_scale", 0.1f)),
        num_local_experts(config.positive("num_local_experts")),
        interleave_moe_layer_step(config.positive("interleave_moe_layer_step")) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_width("intermediate_size", intermediate_size);
    if (config.positive("num_experts_per_tok") != 1) {
      refuse_config("\"num_experts_per_tok\" must be 1");
    }
  }

  /// Every fourth layer sees the whole text, but no positions.
  static bool is_global(int layer) { return (layer + 1) % 4 == 0; }
  bool is_moe(int layer) const { return (layer + 1) % interleave_moe_layer_step == 0; }
};

/// A vector of root mean square one.
array unit_norm(const array& x) { return mx::rms_norm(x, array(), 1e-6f); }

class Attention {
 public:
  Attention(
      const ModelArgs& args, Weights& weights, const std::string& path, bool is_global,
      const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
        use_qk_norm_(args.use_qk_norm),
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
            args.attention_bias) {
    if (!is_global) rope_ = rope;
  }

  /// `temperatures` are factors of a global layer's queries (L, 1), empty where all are 1.
  array operator()(
      const array& x, const Mask& mask, AttentionCache& cache, const array& temperatures) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    if (rope_) {
      std::tie(queries, keys) = (*rope_)(queries, keys, cache.offset());
      if (use_qk_norm_) std::tie(queries, keys) = std::pair(unit_norm(queries), unit_norm(keys));
    } else if (temperatures) {
      queries = mx::astype(queries * temperatures, x.dtype());
    }
    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  bool use_qk_norm_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  std::optional<RoPE> rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path, int hidden_dims)
      : gate_proj_(weights, path + ".gate_proj", args.hidden_size, hidden_dims),
        down_proj_(weights, path + ".down_proj", hidden_dims, args.hidden_size),
        up_proj_(weights, path + ".up_proj", args.hidden_size, hidden_dims) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, down_proj_, up_proj_;
};

/// The one expert that a token's router is most sure of, fed in proportion, and one for all.
class MoE {
 public:
  MoE(const ModelArgs& args, Weights& weights, const std::string& path)
      : experts_(
            weights, path + ".experts", args.hidden_size, args.intermediate_size,
            args.num_local_experts),
        router_(weights, path + ".router", args.hidden_size, args.num_local_experts),
        shared_expert_(args, weights, path + ".shared_expert", args.intermediate_size) {}

  array operator()(const array& x) const {
    const array logits = router_(x);                                   // (n, experts)
    const array expert = mx::expand_dims(mx::argmax(logits, -1), -1);  // (n, 1)
    const array sure = mx::sigmoid(mx::astype(mx::max(logits, -1), mx::float32));
    const array fed = x * mx::astype(sure, x.dtype());
    return mx::squeeze(experts_(fed, expert), 1) + shared_expert_(x);
  }

 private:
  SwitchGLU experts_;
  Linear router_;
  MLP shared_expert_;
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, int layer, const RoPE& rope)
      : self_attn_(args, weights, path + ".self_attn", ModelArgs::is_global(layer), rope),
        input_layernorm_(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps),
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps) {
    if (args.is_moe(layer)) {
      moe_.emplace(args, weights, path + ".feed_forward");
    } else {
      mlp_.emplace(args, weights, path + ".feed_forward", args.intermediate_size_mlp);
    }
  }

  array operator()(
      const array& x, const Mask& mask, AttentionCache& cache, const array& temperatures) const {
    const array h = x + self_attn_(input_layernorm_(x), mask, cache, temperatures);
    const array normed = post_attention_layernorm_(h);
    return h + (moe_ ? (*moe_)(normed) : (*mlp_)(normed));
  }

 private:
  Attention self_attn_;
  std::optional<MoE> moe_;  // one of both
  std::optional<MLP> mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
};

class Llama4 : public Model {
 public:
  Llama4(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps),
        lm_head_(weights, "lm_head", args.hidden_size, args.vocab_size) {
    const RoPE rope(
        args.head_dim, args.rope_theta, /* traditional */ true, args.rope_scaling,
        args.max_position_embeddings);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), i, rope);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    const Positions offset = cache.attention(0).offset();
    const array temperatures =
        args_.attn_temperature_tuning
            ? temperature_factors(
                  offset.later(1), tokens.dim(1), args_.attn_scale, args_.floor_scale)
            : array();
    for (size_t i = 0; i < layers_.size(); i++) {
      h = layers_[i](h, masks[i], cache.attention(i), temperatures);
    }
    return norm_(h);
  }

  array logits(const array& hidden) const override { return lm_head_(hidden); }

  Cache make_cache() const override {
    Cache cache;
    for (int i = 0; i < args_.num_hidden_layers; i++) {
      if (ModelArgs::is_global(i)) {
        cache.add<KVCache>();
      } else {
        cache.add<ChunkedKVCache>(args_.attention_chunk_size);
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
  Linear lm_head_;
};

/// The publisher's stacks of experts are (in, out), gate_proj beside up_proj.
void split_experts(const ModelArgs& args, Weights& weights, const std::string& path) {
  const int dims = args.intermediate_size;
  const auto put = [&](const std::string& name, const array& stack) {
    if (stack) weights.put(path + name, mx::contiguous(mx::swapaxes(stack, 1, 2)));
  };
  if (weights.has(path + ".gate_up_proj")) {
    const array both = weights.extract(
        path + ".gate_up_proj", {args.num_local_experts, args.hidden_size, 2 * dims});
    put(".gate_proj.weight", mx::slice(both, 2, 0, dims));
    put(".up_proj.weight", mx::slice(both, 2, dims, 2 * dims));
  }
  if (weights.has(path + ".down_proj")) {
    put(".down_proj.weight",
        weights.extract(path + ".down_proj", {args.num_local_experts, dims, args.hidden_size}));
  }
}

}  // namespace

std::unique_ptr<Model> make_llama4(const Config& config, Weights& weights) {
  const ModelArgs args(config["text_config"]);
  weights.drop([](const std::string& name) {
    return name.find("vision_model") != std::string::npos ||
           name.find("multi_modal_projector") != std::string::npos;
  });
  weights.enter("language_model.");
  for (int i = 0; i < args.num_hidden_layers; i++) {
    const std::string path = "model.layers." + std::to_string(i);
    if (args.is_moe(i)) split_experts(args, weights, path + ".feed_forward.experts");
  }
  return std::make_unique<Llama4>(args, weights);
}
