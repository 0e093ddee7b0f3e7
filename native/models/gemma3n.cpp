// The text model of Gemma 3n: https://ai.google.dev/gemma/docs/gemma-3n

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/layer_types.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/altup.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/per_layer_inputs.h"
#include "nn/rope.h"

namespace {

using mx::array;

constexpr float half_root = 1.0f / std::numbers::sqrt2_v<float>;

/// `intermediate_size` of each layer, which may be one number for all.
std::vector<int> intermediate_sizes(const Config& config, int num_hidden_layers) {
  const std::string key = "intermediate_size";
  if (!config[key].is_list()) {
    return std::vector<int>(static_cast<size_t>(num_hidden_layers), config.positive(key));
  }
  std::vector<int> sizes = config.counts(key);
  check_layers(key, sizes.size(), num_hidden_layers);
  return sizes;
}

/// How much of the gate's numbers each layer zeroes, in [0, 1).
std::vector<float> sparsities(const Config& config, int num_hidden_layers) {
  const std::string key = "activation_sparsity_pattern";
  if (!config.has(key)) return std::vector<float>(static_cast<size_t>(num_hidden_layers));
  std::vector<float> values = config.numbers(key);
  check_layers(key, values.size(), num_hidden_layers);
  for (const float value : values) {
    if (value >= 0.0f && value < 1.0f) continue;
    refuse_config("\"" + key + "\" must hold parts of one");
  }
  return values;
}

struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  std::vector<int> intermediate_size;  // by layer
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  int vocab_size;
  float rms_norm_eps;
  float rope_theta;
  float rope_local_base_freq;
  std::vector<std::string> layer_types;
  int sliding_window;
  int num_kv_shared_layers;
  std::vector<float> activation_sparsity_pattern;  // by layer
  PerLayerArgs per_layer;
  AltUpArgs altup;
  bool altup_correct_scale;
  int laurel_rank;
  float final_logit_softcapping;  // 0: not capped

  explicit ModelArgs(const Config& config)
      : hidden_size(config.positive("hidden_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        intermediate_size(intermediate_sizes(config, num_hidden_layers)),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim")),
        vocab_size(config.positive("vocab_size")),
        rms_norm_eps(config.positive_number("rms_norm_eps")),
        rope_theta(config.positive_number("rope_theta")),
        rope_local_base_freq(config.positive_number("rope_local_base_freq")),
        layer_types(required_layer_types(
            config, num_hidden_layers, {"full_attention", "sliding_attention"})),
        sliding_window(config.positive("sliding_window")),
        num_kv_shared_layers(config.count("num_kv_shared_layers", 0)),
        activation_sparsity_pattern(sparsities(config, num_hidden_layers)),
        per_layer{
            .num_hidden_layers = num_hidden_layers,
            .hidden_size = hidden_size,
            .dims = config.positive("hidden_size_per_layer_input"),
            .vocab_size = config.positive("vocab_size_per_layer_input"),
            .rms_norm_eps = rms_norm_eps},
        altup{
            .hidden_size = hidden_size,
            .num_inputs = config.positive("altup_num_inputs"),
            .active_idx = config.count("altup_active_idx", 0),
            .coef_clip = config.positive_number("altup_coef_clip", 0.0f),
            .rms_norm_eps = rms_norm_eps},
        altup_correct_scale(config.boolean("altup_correct_scale", true)),
        laurel_rank(config.positive("laurel_rank")),
        final_logit_softcapping(config.positive_number("final_logit_softcapping", 0.0f)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    check_width("hidden_size_per_layer_input", int64_t{num_hidden_layers} * per_layer.dims);
    check_width("altup_num_inputs", int64_t{altup.num_inputs} * altup.num_inputs);
    if (altup.active_idx >= altup.num_inputs) {
      refuse_config("\"altup_active_idx\" must be below \"altup_num_inputs\"");
    }
  }

  bool is_sliding(size_t layer) const { return layer_types[layer] == "sliding_attention"; }

  /// The first of the layers that read keys and values of another one.
  size_t first_shared() const {
    return static_cast<size_t>(std::max(num_hidden_layers - num_kv_shared_layers, 0));
  }
};

RMSNorm norm(const ModelArgs& args, Weights& weights, const std::string& path) {
  return RMSNorm(weights, path, args.hidden_size, args.rms_norm_eps);
}

class Attention {
 public:
  Attention(
      const ModelArgs& args, Weights& weights, const std::string& path, bool shares,
      const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        shares_(shares),
        eps_(args.rms_norm_eps),
        q_proj_(weights, path + ".q_proj", args.hidden_size, n_heads_ * args.head_dim),
        k_proj_(weights, path + ".k_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        v_proj_(weights, path + ".v_proj", args.hidden_size, n_kv_heads_ * args.head_dim),
        o_proj_(weights, path + ".o_proj", n_heads_ * args.head_dim, args.hidden_size),
        q_norm_(weights, path + ".q_norm", args.head_dim, args.rms_norm_eps),
        k_norm_(weights, path + ".k_norm", args.head_dim, args.rms_norm_eps),
        rope_(rope) {}

  /// `offset` is the position of the first token, whether or not a shared cache has it already.
  array operator()(
      const array& x, const Mask& mask, AttentionCache& cache, const Positions& offset) const {
    if (!shares_) {
      const array keys = k_norm_(split_heads(k_proj_(x), mask.batch, n_kv_heads_));
      const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);
      cache.append(rope_(keys, offset), mx::rms_norm(values, array(), eps_));
    }
    const array queries = q_norm_(split_heads(q_proj_(x), mask.batch, n_heads_));
    const array output =
        scaled_dot_product_attention(rope_(queries, offset), cache, /* scale */ 1.0f, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  bool shares_;
  float eps_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;  // a layer that shares has keys, but does not use them
  RMSNorm q_norm_, k_norm_;
  RoPE rope_;
};

/// The mean along an axis. In half precision MLX's CPU, unlike its GPU, would add up with as many
/// digits as the numbers have.
array average(const array& x, int axis) {
  const array sum = mx::sum(mx::astype(x, mx::float32), axis);
  return mx::astype(sum, x.dtype()) * (1.0f / static_cast<float>(x.dim(axis)));
}

/// The root mean square of each row: (n, D) → (n, 1)
array magnitude(const array& x) { return mx::sqrt(average(mx::square(x), -1)); }

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path, size_t layer)
      : gate_proj_(weights, path + ".gate_proj", args.hidden_size, args.intermediate_size[layer]),
        down_proj_(weights, path + ".down_proj", args.intermediate_size[layer], args.hidden_size),
        up_proj_(weights, path + ".up_proj", args.hidden_size, args.intermediate_size[layer]),
        sparsity_(args.activation_sparsity_pattern[layer]),
        deviations_(quantile(sparsity_)) {}

  array operator()(const array& x) const {
    const array gate = gate_proj_(x);
    return down_proj_(gelu_approx(sparsity_ > 0 ? highest(gate) : gate) * up_proj_(x));
  }

 private:
  /// How many deviations above its mean a normal variable lies with all but this part of it below.
  static float quantile(float part) {
    const array erfinv = mx::erfinv(mx::scalar(2.0f * part - 1.0f, mx::float32));
    return std::numbers::sqrt2_v<float> * erfinv.item_float32();
  }

  /// What is above the quantile, by how much; all else is 0.
  array highest(const array& gate) const {
    const array centre = average(gate, -1);
    const array deviation = magnitude(gate - centre);
    return relu(gate - (centre + deviation * deviations_));
  }

  Linear gate_proj_, down_proj_, up_proj_;
  float sparsity_;
  float deviations_;
};

/// Learned augmented residual layer: x and what a matrix of low rank makes of it.
class Laurel {
 public:
  Laurel(const ModelArgs& args, Weights& weights, const std::string& path)
      : linear_left_(weights, path + ".linear_left", args.hidden_size, args.laurel_rank),
        linear_right_(weights, path + ".linear_right", args.laurel_rank, args.hidden_size),
        post_laurel_norm_(norm(args, weights, path + ".post_laurel_norm")) {}

  array operator()(const array& x) const {
    return x + post_laurel_norm_(linear_right_(linear_left_(x)));
  }

 private:
  Linear linear_left_, linear_right_;
  RMSNorm post_laurel_norm_;
};

class TransformerBlock {
 public:
  TransformerBlock(
      const ModelArgs& args, Weights& weights, const std::string& path, size_t layer,
      const RoPE& rope)
      : active_(args.altup.active_idx),
        correct_scale_(args.altup_correct_scale),
        self_attn_(args, weights, path + ".self_attn", layer >= args.first_shared(), rope),
        mlp_(args, weights, path + ".mlp", layer),
        altup_(weights, path + ".altup", args.altup),
        laurel_(args, weights, path + ".laurel"),
        per_layer_gate_(weights, path, args.per_layer),
        input_layernorm_(norm(args, weights, path + ".input_layernorm")),
        post_attention_layernorm_(norm(args, weights, path + ".post_attention_layernorm")),
        pre_feedforward_layernorm_(norm(args, weights, path + ".pre_feedforward_layernorm")),
        post_feedforward_layernorm_(norm(args, weights, path + ".post_feedforward_layernorm")),
        correct_output_scale_(
            weights.take(path + ".altup.correct_output_scale", {args.hidden_size})) {}

  array operator()(
      const array& streams, const Mask& mask, AttentionCache& cache, const Positions& offset,
      const array& per_layer_input) const {
    const array predictions = altup_.predict(streams);
    const array x = stream(predictions, active_);
    const array normed = input_layernorm_(x);
    const array attended = post_attention_layernorm_(self_attn_(normed, mask, cache, offset));
    const array h = (x + attended + laurel_(normed)) * half_root;
    const array fed = post_feedforward_layernorm_(mlp_(pre_feedforward_layernorm_(h)));
    const array corrected = altup_.correct(predictions, h + fed);

    array active = stream(corrected, active_);
    if (correct_scale_) active = active * correct_output_scale_;
    const array others = mx::slice(corrected, 0, 1, corrected.dim(0));
    const array parts[] = {
        mx::slice(corrected, 0, 0, 1), others + per_layer_gate_(active, per_layer_input)};
    return mx::concatenate(parts, 0);
  }

 private:
  int active_;
  bool correct_scale_;
  Attention self_attn_;
  MLP mlp_;
  AltUp altup_;
  Laurel laurel_;
  PerLayerGate per_layer_gate_;
  RMSNorm input_layernorm_, post_attention_layernorm_;
  RMSNorm pre_feedforward_layernorm_, post_feedforward_layernorm_;
  array correct_output_scale_;  // (D)
};

class Gemma3n : public Model {
 public:
  Gemma3n(const ModelArgs& args, Weights& weights)
      : args_(args),
        caches_(layer_caches(args.layer_types, args.num_kv_shared_layers)),
        embed_tokens_(weights, "language_model.embed_tokens", args.vocab_size, args.hidden_size),
        per_layer_inputs_(weights, "language_model", args.per_layer),
        norm_(norm(args, weights, "language_model.norm")) {
    const RoPE local_rope(args.head_dim, args.rope_local_base_freq);
    const RoPE global_rope(args.head_dim, args.rope_theta);
    for (size_t i = 0; i < caches_.size(); i++) {
      const std::string path = "language_model.layers." + std::to_string(i);
      layers_.emplace_back(args, weights, path, i, args.is_sliding(i) ? local_rope : global_rope);
    }
    const auto add = [&](std::vector<Linear>& list, const std::string& path) {
      list.emplace_back(weights, path, args.hidden_size, args.hidden_size);
    };
    for (int i = 0; i < args.altup.num_inputs - 1; i++) {
      add(altup_projections_, "language_model.altup_projections." + std::to_string(i));
      add(altup_unembed_projections_,
          "language_model.altup_unembed_projections." + std::to_string(i));
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    const array h = embed_tokens_(tokens) * std::sqrt(static_cast<float>(args_.hidden_size));
    const array inputs = per_layer_inputs_(tokens, h);
    const Masks masks(cache, tokens);
    const Positions offset = cache.attention(0).offset();
    array streams = to_streams(h);
    for (size_t i = 0; i < layers_.size(); i++) {
      const size_t from = caches_[i];
      const array input = per_layer_inputs_.of_layer(inputs, i);
      streams = layers_[i](streams, masks[from], cache.attention(from), offset, input);
    }
    return norm_(from_streams(streams));
  }

  array logits(const array& hidden) const override {
    const array logits = embed_tokens_.as_linear(hidden);
    const float cap = args_.final_logit_softcapping;
    return cap > 0 ? softcap(logits, cap) : logits;
  }

  Cache make_cache() const override {
    Cache cache;
    for (size_t i = 0; i < args_.first_shared(); i++) {
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
  /// (n, D) → (streams, n, D), all of one magnitude.
  array to_streams(const array& h) const {
    const array target = magnitude(h);
    std::vector<array> streams = {h};
    for (const Linear& projection : altup_projections_) {
      const array other = projection(h);
      streams.push_back(other * (target / magnitude(other)));
    }
    return mx::stack(streams, 0);
  }

  /// The mean of the streams, brought to one magnitude again.
  array from_streams(const array& streams) const {
    std::vector<array> all = {stream(streams, 0)};
    const array target = magnitude(all[0]);
    for (const Linear& projection : altup_unembed_projections_) {
      const array other = projection(stream(streams, static_cast<int>(all.size())));
      all.push_back(other * (target / magnitude(other)));
    }
    return mx::squeeze(average(mx::stack(all, 0), 0), 0);
  }

  ModelArgs args_;
  std::vector<size_t> caches_;  // by layer
  Embedding embed_tokens_;
  PerLayerInputs per_layer_inputs_;
  std::vector<TransformerBlock> layers_;
  std::vector<Linear> altup_projections_, altup_unembed_projections_;
  RMSNorm norm_;
};

}  // namespace

std::unique_ptr<Model> make_gemma3n(const Config& config, Weights& weights) {
  const ModelArgs args(config["text_config"]);
  weights.enter("model.");
  weights.drop([](const std::string& name) {
    return name.starts_with("vision_tower.") || name.starts_with("audio_tower.") ||
           name.starts_with("embed_vision.") || name.starts_with("embed_audio.");
  });
  return std::make_unique<Gemma3n>(args, weights);
}
