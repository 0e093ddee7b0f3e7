// Qwen3-Next, a mixture of experts of which three of four layers are gated delta nets:
// https://arxiv.org/abs/2412.06464

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <variant>
#include <vector>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/conv.h"
#include "nn/gated_delta.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int intermediate_size;
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  int linear_num_key_heads;
  int linear_num_value_heads;
  int linear_key_head_dim;
  int linear_value_head_dim;
  int linear_conv_kernel_dim;
  int full_attention_interval;
  int num_experts;  // 0: none
  int num_experts_per_tok;
  int moe_intermediate_size;
  int shared_expert_intermediate_size;
  int decoder_sparse_step;
  std::vector<int> mlp_only_layers;
  bool norm_topk_prob;
  int vocab_size;
  float rms_norm_eps;
  bool attention_bias;
  bool tie_word_embeddings;
  int max_position_embeddings;
  float rope_theta;
  Config rope_scaling;
  int rope_dims;

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(config.positive("intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim")),
        linear_num_key_heads(config.positive("linear_num_key_heads")),
        linear_num_value_heads(config.positive("linear_num_value_heads")),
        linear_key_head_dim(config.positive("linear_key_head_dim")),
        linear_value_head_dim(config.positive("linear_value_head_dim")),
        linear_conv_kernel_dim(config.positive("linear_conv_kernel_dim")),
        full_attention_interval(config.positive("full_attention_interval", 4)),
        num_experts(config.count("num_experts", 0)),
        num_experts_per_tok(num_experts ? config.positive("num_experts_per_tok") : 0),
        moe_intermediate_size(num_experts ? config.positive("moe_intermediate_size") : 0),
        shared_expert_intermediate_size(
            num_experts ? config.positive("shared_expert_intermediate_size") : 0),
        decoder_sparse_step(config.positive("decoder_sparse_step")),
        mlp_only_layers(config.counts("mlp_only_layers")),
        norm_topk_prob(config.boolean("norm_topk_prob", false)),
        vocab_size(config.positive("vocab_size")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        attention_bias(config.boolean("attention_bias", false)),
        tie_word_embeddings(config.boolean("tie_word_embeddings", false)),
        max_position_embeddings(config.positive("max_position_embeddings")),
        rope_theta(::rope_theta(config)),
        rope_scaling(::rope_scaling(config)),
        rope_dims(rotary_dims(config, head_dim)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_linear_heads(
        linear_num_key_heads, linear_key_head_dim, linear_num_value_heads, linear_value_head_dim);
    check_experts(num_experts, num_experts_per_tok);
  }

  bool is_linear(int layer) const { return (layer + 1) % full_attention_interval != 0; }

  bool is_sparse(int layer) const {
    return std::ranges::find(mlp_only_layers, layer) == mlp_only_layers.end() && num_experts > 0 &&
           (layer + 1) % decoder_sparse_step == 0;
  }
};

class GatedDeltaNet {
 public:
  GatedDeltaNet(const ModelArgs& args, Weights& weights, const std::string& path)
      : n_k_heads_(args.linear_num_key_heads),
        n_v_heads_(args.linear_num_value_heads),
        key_dim_(n_k_heads_ * args.linear_key_head_dim),
        value_dim_(n_v_heads_ * args.linear_value_head_dim),
        conv_dim_(2 * key_dim_ + value_dim_),
        conv1d_(weights, path + ".conv1d", conv_dim_, args.linear_conv_kernel_dim),
        in_proj_qkvz_(weights, path + ".in_proj_qkvz", args.hidden_size, conv_dim_ + value_dim_),
        in_proj_ba_(weights, path + ".in_proj_ba", args.hidden_size, 2 * n_v_heads_),
        decay_(weights, path, n_v_heads_),
        norm_(weights, path + ".norm", args.linear_value_head_dim, args.rms_norm_eps),
        out_proj_(weights, path + ".out_proj", value_dim_, args.hidden_size) {}

  array operator()(const array& x, int batch, StateCache& cache) const {
    // Each key head has its own q, k, v and z, and its own b and a.
    const int n = x.dim(0);
    const array qkvz = mx::reshape(in_proj_qkvz_(x), {n, n_k_heads_, -1});
    const array ba = mx::reshape(in_proj_ba_(x), {n, n_k_heads_, -1});
    const auto part = [n](const array& heads, int start, int width) {
      return mx::reshape(mx::slice(heads, 2, start, start + width), {n, -1});
    };
    const int key = key_dim_ / n_k_heads_;
    const int value = value_dim_ / n_k_heads_;
    const array q_k_v[] = {part(qkvz, 0, key), part(qkvz, key, key), part(qkvz, 2 * key, value)};
    const array qkv = mx::concatenate(q_k_v, 1);  // (B · L, conv_dim)
    const array z = part(qkvz, 2 * key + value, value);
    const int heads = n_v_heads_ / n_k_heads_;
    const array b = part(ba, 0, heads);
    const array a = part(ba, heads, heads);

    const array mixed = silu(conv1d_(mx::reshape(qkv, {batch, -1, conv_dim_}), cache[0]));
    const int length = mixed.dim(1);
    const array qk = mx::slice(mixed, 2, 0, 2 * key_dim_);
    const array v = mx::slice(mixed, 2, 2 * key_dim_, conv_dim_);

    const auto [q, k] = normalize_qk(mx::reshape(qk, {batch, length, 2 * n_k_heads_, -1}));
    const array y = gated_delta_update(
        q, k, mx::reshape(v, {batch, length, n_v_heads_, -1}), decay_(a), mx::sigmoid(b), cache[1]);

    const array normed = mx::reshape(norm_(y), {x.dim(0), -1});
    return out_proj_(mx::astype(precise_swiglu(z, normed), x.dtype()));
  }

 private:
  int n_k_heads_;
  int n_v_heads_;
  int key_dim_;
  int value_dim_;
  int conv_dim_;
  CausalConv conv1d_;
  Linear in_proj_qkvz_, in_proj_ba_;
  DecayGate decay_;
  RMSNorm norm_;
  Linear out_proj_;
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        head_dim_(args.head_dim),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
        q_proj_(
            weights, path + ".q_proj", args.hidden_size, 2 * n_heads_ * args.head_dim,
            args.attention_bias),
        k_proj_(
            weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            args.attention_bias),
        v_proj_(
            weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim,
            args.attention_bias),
        o_proj_(
            weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size,
            args.attention_bias),
        q_norm_(weights, path + ".q_norm", args.head_dim, args.rms_norm_eps),
        k_norm_(weights, path + ".k_norm", args.head_dim, args.rms_norm_eps),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array both = split_heads(q_proj_(x), mask.batch, n_heads_);  // (B, heads, L, 2 · D)
    array queries = mx::slice(both, 3, 0, head_dim_);
    const array gate = mx::slice(both, 3, head_dim_, 2 * head_dim_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    std::tie(queries, keys) = rope_(q_norm_(queries), k_norm_(keys), cache.offset());
    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(merge_heads(output * mx::sigmoid(gate)));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  int head_dim_;
  float scale_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  RMSNorm q_norm_, k_norm_;
  RoPE rope_;
};

class MLP {
 public:
  MLP(Weights& weights, const std::string& path, int dims, int hidden_dims)
      : gate_proj_(weights, path + ".gate_proj", dims, hidden_dims),
        down_proj_(weights, path + ".down_proj", hidden_dims, dims),
        up_proj_(weights, path + ".up_proj", dims, hidden_dims) {}

  array operator()(const array& x) const { return down_proj_(swiglu(gate_proj_(x), up_proj_(x))); }

 private:
  Linear gate_proj_, down_proj_, up_proj_;
};

class SparseMoeBlock {
 public:
  SparseMoeBlock(const ModelArgs& args, Weights& weights, const std::string& path)
      : top_k_(args.num_experts_per_tok),
        norm_topk_prob_(args.norm_topk_prob),
        gate_(weights, path + ".gate", args.hidden_size, args.num_experts),
        switch_mlp_(
            weights, path + ".switch_mlp", args.hidden_size, args.moe_intermediate_size,
            args.num_experts),
        shared_expert_(
            weights, path + ".shared_expert", args.hidden_size,
            args.shared_expert_intermediate_size),
        shared_expert_gate_(weights, path + ".shared_expert_gate", args.hidden_size, 1) {}

  array operator()(const array& x) const {
    const array gates = mx::softmax(gate_(x), -1, /* precise */ true);  // (n, experts)
    const array indices = top_k(gates, top_k_);                         // (n, k)
    array scores = mx::take_along_axis(gates, indices, -1);
    if (norm_topk_prob_) scores = scores / mx::sum(scores, -1);
    const array routed = weighted_sum(switch_mlp_(x, indices), scores);
    return routed + mx::sigmoid(shared_expert_gate_(x)) * shared_expert_(x);
  }

 private:
  int top_k_;
  bool norm_topk_prob_;
  Linear gate_;
  SwitchGLU switch_mlp_;
  MLP shared_expert_;
  Linear shared_expert_gate_;
};

class DecoderLayer {
 public:
  DecoderLayer(
      const ModelArgs& args, Weights& weights, const std::string& path, bool is_linear,
      bool is_sparse, const RoPE& rope)
      : mlp_(make_mlp(args, weights, path + ".mlp", is_sparse)),
        input_layernorm_(weights, path + ".input_layernorm", args.hidden_size, args.rms_norm_eps),
        post_attention_layernorm_(
            weights, path + ".post_attention_layernorm", args.hidden_size, args.rms_norm_eps) {
    if (is_linear) {
      linear_attn_.emplace(args, weights, path + ".linear_attn");
    } else {
      self_attn_.emplace(args, weights, path + ".self_attn", rope);
    }
  }

  array operator()(const array& x, const Masks& masks, Cache& cache, size_t layer) const {
    const array normed = input_layernorm_(x);
    const array h =
        x + (linear_attn_ ? (*linear_attn_)(normed, masks.batch(), cache.state(layer))
                          : (*self_attn_)(normed, masks[layer], cache.attention(layer)));
    const array fed = post_attention_layernorm_(h);
    return h + std::visit([&](const auto& mlp) { return mlp(fed); }, mlp_);
  }

 private:
  using AnyMLP = std::variant<MLP, SparseMoeBlock>;

  static AnyMLP make_mlp(
      const ModelArgs& args, Weights& weights, const std::string& path, bool is_sparse) {
    if (is_sparse) return SparseMoeBlock(args, weights, path);
    return MLP(weights, path, args.hidden_size, args.intermediate_size);
  }

  std::optional<GatedDeltaNet> linear_attn_;
  std::optional<Attention> self_attn_;
  AnyMLP mlp_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
};

class Qwen3Next : public Model {
 public:
  Qwen3Next(const ModelArgs& args, Weights& weights, bool has_mtp)
      : args_(args),
        embed_tokens_(weights, "model.embed_tokens", args.vocab_size, args.hidden_size),
        norm_(weights, "model.norm", args.hidden_size, args.rms_norm_eps) {
    const RoPE rope(
        args.rope_dims, args.rope_theta, false, args.rope_scaling, args.max_position_embeddings);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      const std::string path = "model.layers." + std::to_string(i);
      layers_.emplace_back(args, weights, path, args.is_linear(i), args.is_sparse(i), rope);
    }
    if (!args.tie_word_embeddings) {
      lm_head_.emplace(weights, "lm_head", args.hidden_size, args.vocab_size);
    }
    if (has_mtp) {
      const bool is_sparse = weights.has("mtp.layers.0.mlp.gate.weight");
      DecoderLayer layer(args, weights, "mtp.layers.0", /* is_linear */ false, is_sparse, rope);
      mtp_head_ = std::make_shared<MtpModule<DecoderLayer>>(
          weights, args.hidden_size, args.rms_norm_eps, std::move(layer), embed_tokens_, lm_head_);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embed_tokens_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks, cache, i);
    return norm_(h);
  }

  array logits(const array& hidden) const override {
    return lm_head_ ? (*lm_head_)(hidden) : embed_tokens_.as_linear(hidden);
  }

  Cache make_cache() const override {
    Cache cache;
    for (int i = 0; i < args_.num_hidden_layers; i++) {
      if (args_.is_linear(i)) {
        cache.add<StateCache>(2);
      } else {
        cache.add<KVCache>();
      }
    }
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

  std::shared_ptr<const MtpHead> mtp_head() const override { return mtp_head_; }

 private:
  ModelArgs args_;
  Embedding embed_tokens_;
  std::vector<DecoderLayer> layers_;
  RMSNorm norm_;
  std::optional<Linear> lm_head_;
  std::shared_ptr<const MtpHead> mtp_head_;  // nothing if the checkpoint has none
};

}  // namespace

std::unique_ptr<Model> make_qwen3_next(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  weights.drop([&](const std::string& name) {
    return args.tie_word_embeddings && name.starts_with("lm_head.");
  });
  const bool has_mtp = keep_mtp_module(weights);
  // mlx-lm ignores it only beside single experts.
  weights.keep_unsaved("mtp");
  weights.keep_8_bits({"mlp.gate", "shared_expert_gate"});
  for (int i = 0; i < args.num_hidden_layers; i++) {
    const std::string layer = "model.layers." + std::to_string(i);
    // The model will say what is missing.
    if (!weights.has(layer + ".input_layernorm.weight")) break;
    for (const char* part : {"gate_proj", "up_proj", "down_proj"}) {
      stack_experts(weights, layer + ".mlp", part, part, args.num_experts);
    }
  }
  for (const char* part : {"gate_proj", "up_proj", "down_proj"}) {
    if (has_mtp) stack_experts(weights, "mtp.layers.0.mlp", part, part, args.num_experts);
  }
  if (transpose_conv_weights(weights, ".conv1d.weight")) {
    add_one(
        weights, {".input_layernorm.weight", ".post_attention_layernorm.weight",
                  "model.norm.weight", "mtp.norm.weight", "mtp.pre_fc_norm_embedding.weight",
                  "mtp.pre_fc_norm_hidden.weight", ".q_norm.weight", ".k_norm.weight"});
  }
  return std::make_unique<Qwen3Next>(args, weights, has_mtp);
}
