// gpt-oss: https://arxiv.org/abs/2508.10925

#include <cmath>
#include <tuple>
#include <utility>

#include "engine_error.h"
#include "mlx/ops.h"
#include "models/checks.h"
#include "models/layer_types.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

struct ModelArgs {
  int num_hidden_layers;
  int num_local_experts;
  int num_experts_per_tok;
  int vocab_size;
  float rms_norm_eps;
  int hidden_size;
  int intermediate_size;
  int head_dim;
  int num_attention_heads;
  int num_key_value_heads;
  int sliding_window;
  float rope_theta;
  Config rope_scaling;
  std::vector<std::string> layer_types;

  explicit ModelArgs(const Config& config)
      : num_hidden_layers(config.positive("num_hidden_layers", 36)),
        num_local_experts(config.positive("num_local_experts", 128)),
        num_experts_per_tok(config.positive("num_experts_per_tok", 4)),
        vocab_size(config.positive("vocab_size", 201088)),
        rms_norm_eps(config.positive_number("rms_norm_eps", 1e-5f)),
        hidden_size(config.positive("hidden_size", 2880)),
        intermediate_size(config.positive("intermediate_size", 2880)),
        head_dim(config.positive("head_dim", 64)),
        num_attention_heads(config.positive("num_attention_heads", 64)),
        num_key_value_heads(config.positive("num_key_value_heads", 8)),
        sliding_window(config.positive("sliding_window", 128)),
        rope_theta(::rope_theta(config, 150000.0f)),
        rope_scaling(::rope_scaling(config)),
        layer_types(::layer_types(config, num_hidden_layers)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_experts(num_local_experts, num_experts_per_tok);
  }

  /// Every other layer looks at everything, unless `layer_types` says more.
  bool is_sliding(int layer) const {
    if (layer_types.empty()) return layer % 2 == 0;
    return layer_types[static_cast<size_t>(layer)] == "sliding_attention";
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
        sinks_(weights.take(path + ".sinks", {n_heads_})),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim, true),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim, true),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim, true),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size, true),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(queries, keys, cache.offset());
    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask, sinks_);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  array sinks_;  // (heads)
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  RoPE rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : top_k_(args.num_experts_per_tok),
        router_(weights, path + ".router", args.hidden_size, args.num_local_experts, true),
        experts_(
            weights, path + ".experts", args.hidden_size, args.intermediate_size,
            args.num_local_experts, swiglu_oai, true) {}

  array operator()(const array& x) const {
    const array gates = router_(x);              // (n, experts)
    const array indices = top_k(gates, top_k_);  // (n, k)
    const array scores = mx::take_along_axis(gates, indices, -1);
    return weighted_sum(experts_(x, indices), mx::softmax(scores, -1, /* precise */ true));
  }

 private:
  int top_k_;
  Linear router_;
  SwitchGLU experts_;
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

class GptOss : public Model {
 public:
  GptOss(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps),
        lm_head_(weights, "lm_head", args.hidden_size, args.vocab_size) {
    const RoPE rope(args.head_dim, args.rope_theta, false, args.rope_scaling);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "model.layers." + std::to_string(i), rope);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks[i], cache.attention(i));
    return norm_(h);
  }

  array logits(const array& hidden) const override { return lm_head_(hidden); }

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
  Linear lm_head_;
};

/// A tensor of all experts as MLX lays it out, (experts, out, …).
array in_mlx_layout(const array& value, const std::string& name) {
  if (name.ends_with("_scales") && value.ndim() == 3) return value;
  if (name.ends_with("_bias") && value.ndim() == 2) return value;
  // Dense matrices are stored transposed.
  if (name.ends_with("_proj") && value.ndim() == 3) return mx::swapaxes(value, 1, 2);
  // Blocks of 32 numbers in 16 bytes: (experts, out, in / 32, 16)
  if (name.ends_with("_blocks") && value.ndim() == 4) {
    const array rows = mx::reshape(value, {value.dim(0), value.dim(1), -1});
    return mx::view(rows, mx::uint32);
  }
  throw EngineError("tensor_shape", "tensor " + name + " has no shape of a stack of experts");
}

/// Takes the tensors of OpenAI's checkpoints apart, whose rows of gate_proj and up_proj alternate.
void split_gate_and_up(Weights& weights, const std::string& path) {
  constexpr std::pair<const char*, const char*> parts[] = {
      {"_blocks", ".weight"}, {"_scales", ".scales"}, {"", ".weight"}, {"_bias", ".bias"}};
  for (const auto& [stored, part] : parts) {
    const std::string down = path + ".down_proj" + stored;
    if (weights.has(down)) {
      const array rows = in_mlx_layout(weights.extract(down), down);
      weights.put(path + ".down_proj" + part, mx::contiguous(rows));
    }
    const std::string gate_up = path + ".gate_up_proj" + stored;
    if (weights.has(gate_up)) {
      const array rows = in_mlx_layout(weights.extract(gate_up), gate_up);
      const array gate = mx::slice(rows, 1, 0, rows.dim(1), 2);
      const array up = mx::slice(rows, 1, 1, rows.dim(1), 2);
      weights.put(path + ".gate_proj" + part, mx::contiguous(gate));
      weights.put(path + ".up_proj" + part, mx::contiguous(up));
    }
  }
}

}  // namespace

std::unique_ptr<Model> make_gpt_oss(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.keep_8_bits({"router"});
  for (int i = 0; i < args.num_hidden_layers; i++) {
    split_gate_and_up(weights, "model.layers." + std::to_string(i) + ".mlp.experts");
  }
  return std::make_unique<GptOss>(args, weights);
}
