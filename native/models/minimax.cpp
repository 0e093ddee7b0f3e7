// MiniMax M2: https://github.com/MiniMax-AI/MiniMax-M2

#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/models.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

struct ModelArgs {
  int hidden_size;
  int intermediate_size;
  int max_position_embeddings;
  int num_attention_heads;
  int num_key_value_heads;
  int num_experts_per_tok;
  int num_local_experts;
  int num_hidden_layers;
  float rms_norm_eps;
  float rope_theta;
  Config rope_scaling;
  int rotary_dim;
  int vocab_size;
  bool tie_word_embeddings;
  int head_dim;
  bool use_qk_norm;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        intermediate_size(config.positive("intermediate_size")),
        max_position_embeddings(config.positive("max_position_embeddings")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        num_experts_per_tok(config.positive("num_experts_per_tok")),
        num_local_experts(config.positive("num_local_experts")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        rope_theta(::rope_theta(config)),
        rope_scaling(::rope_scaling(config)),
        rotary_dim(config.positive("rotary_dim")),
        vocab_size(config.positive("vocab_size")),
        tie_word_embeddings(config.boolean("tie_word_embeddings", false)),
        head_dim(config.positive("head_dim", hidden_size / num_attention_heads)),
        use_qk_norm(config.boolean("use_qk_norm", true)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_experts(num_local_experts, num_experts_per_tok);
    if (rotary_dim % 2 != 0 || rotary_dim > head_dim) {
      refuse_config(
          "\"rotary_dim\" must be even, and at most \"head_dim\" (" + std::to_string(head_dim) +
          ")");
    }
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        rope_(rope) {
    if (!args.use_qk_norm) return;
    q_norm_.emplace(weights, path + ".q_norm", n_heads_ * args.head_dim, args.rms_norm_eps);
    k_norm_.emplace(weights, path + ".k_norm", n_kv_heads_ * args.head_dim, args.rms_norm_eps);
  }

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    array queries = q_proj_(x);
    array keys = k_proj_(x);
    if (q_norm_) queries = (*q_norm_)(queries);
    if (k_norm_) keys = (*k_norm_)(keys);

    queries = split_heads(queries, mask.batch, n_heads_);
    keys = split_heads(keys, mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(queries, keys, cache.offset());
    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  std::optional<RMSNorm> q_norm_, k_norm_;  // over all heads at once
  RoPE rope_;
};

class SparseMoeBlock {
 public:
  SparseMoeBlock(const ModelArgs& args, Weights& weights, const std::string& path)
      : top_k_(args.num_experts_per_tok),
        gate_(weights, path + ".gate", args.hidden_size, args.num_local_experts),
        switch_mlp_(
            weights, path + ".switch_mlp", args.hidden_size, args.intermediate_size,
            args.num_local_experts),
        e_score_correction_bias_(
            weights.take(path + ".e_score_correction_bias", {args.num_local_experts})) {}

  array operator()(const array& x) const {
    const array gates = mx::sigmoid(gate_(mx::astype(x, mx::float32)));  // (n, experts)
    // The bias has a say in the choice only.
    const array indices = top_k(gates + e_score_correction_bias_, top_k_);  // (n, k)
    array scores = mx::take_along_axis(gates, indices, -1);
    scores = scores / (mx::sum(scores, -1) + 1e-20f);
    return weighted_sum(switch_mlp_(x, indices), mx::astype(scores, x.dtype()));
  }

 private:
  int top_k_;
  Linear gate_;
  SwitchGLU switch_mlp_;
  array e_score_correction_bias_;  // (experts)
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : self_attn_(args, weights, path + ".self_attn", rope),
        block_sparse_moe_(args, weights, path + ".block_sparse_moe"),
        input_layernorm_(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps),
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array h = x + self_attn_(input_layernorm_(x), mask, cache);
    return h + block_sparse_moe_(post_attention_layernorm_(h));
  }

 private:
  Attention self_attn_;
  SparseMoeBlock block_sparse_moe_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
};

class MiniMax : public Model {
 public:
  MiniMax(const ModelArgs& args, Weights& weights)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(
        args.rotary_dim, args.rope_theta, false, args.rope_scaling, args.max_position_embeddings);
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

std::unique_ptr<Model> make_minimax(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.drop([&](const std::string& name) {
    return args.tie_word_embeddings && name.starts_with("lm_head.");
  });
  weights.keep_8_bits({"block_sparse_moe.gate"});
  weights.keep_dtype({"e_score_correction_bias"});
  constexpr std::pair<const char*, const char*> names[] = {
      {"w1", "gate_proj"}, {"w2", "down_proj"}, {"w3", "up_proj"}};
  for (int i = 0; i < args.num_hidden_layers; i++) {
    const std::string moe = "model.layers." + std::to_string(i) + ".block_sparse_moe";
    for (const auto& [from, to] : names) {
      stack_experts(weights, moe, from, to, args.num_local_experts);
    }
  }
  return std::make_unique<MiniMax>(args, weights);
}
