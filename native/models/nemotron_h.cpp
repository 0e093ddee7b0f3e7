// Nemotron-H, Nemotron Nano 2 and Nemotron 3: https://arxiv.org/abs/2504.03624

#include <cmath>
#include <map>
#include <optional>
#include <tuple>
#include <variant>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/models.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/mamba2.h"
#include "nn/norm.h"
#include "nn/router.h"
#include "nn/switch_layers.h"

namespace {

using mx::array;

/// The letters of a pattern, one for each layer, in one string or in a list.
enum Block : char { mamba = 'M', attention = '*', mlp = '-', moe = 'E' };

/// Longer names for the letters, the last three from before transformers 5.13.
const std::map<std::string, Block> block_types = {
    {"linear_attention", mamba},
    {"full_attention", attention},
    {"mlp", mlp},
    {"moe", moe},
    {"mamba", mamba},
    {"conv", mamba},
    {"attention", attention}};

std::string hybrid_override_pattern(const Config& config) {
  std::string pattern;
  if (config["hybrid_override_pattern"].is_text()) {
    pattern = config.text("hybrid_override_pattern");
  } else if (config.has("hybrid_override_pattern")) {
    for (const std::string& letter : config.texts("hybrid_override_pattern")) pattern += letter;
  } else {
    const char* key = config.has("layers_block_type") ? "layers_block_type" : "layer_types";
    for (const std::string& name : config.texts(key)) {
      const auto type = block_types.find(name);
      pattern += type == block_types.end() ? '?' : type->second;
    }
  }
  if (pattern.empty() || pattern.find_first_not_of("M*-E") != std::string::npos) {
    refuse_config(
        "\"hybrid_override_pattern\" or \"layers_block_type\" must name the kind of each layer");
  }
  return pattern;
}

struct ModelArgs {
  int vocab_size;
  int hidden_size;
  int intermediate_size;
  int num_attention_heads;
  int num_key_value_heads;
  int head_dim;
  bool attention_bias;
  bool mlp_bias;
  float layer_norm_epsilon;
  std::string hybrid_override_pattern;
  std::optional<Mamba2Mixer::Args> mamba;
  std::optional<RouterArgs> router;
  int moe_intermediate_size = 0;
  int shared_intermediate_size = 0;  // 0: no shared expert
  int moe_latent_size = 0;           // the width in which experts work; 0: hidden_size

  explicit ModelArgs(const Config& config)
      : vocab_size(config.positive("vocab_size")),
        hidden_size(config.positive("hidden_size")),
        intermediate_size(config.positive("intermediate_size")),
        num_attention_heads(config.positive("num_attention_heads")),
        num_key_value_heads(config.positive("num_key_value_heads")),
        head_dim(config.positive("head_dim", hidden_size / num_attention_heads)),
        attention_bias(config.boolean("attention_bias", false)),
        mlp_bias(config.boolean("mlp_bias", false)),
        layer_norm_epsilon(config.positive_number("layer_norm_epsilon")),
        hybrid_override_pattern(::hybrid_override_pattern(config)) {
    check_heads(num_attention_heads, num_key_value_heads, head_dim);
    if (has(Block::mamba)) read_mamba(config);
    if (has(Block::moe)) read_moe(config);
  }

 private:
  bool has(Block block) const { return hybrid_override_pattern.find(block) != std::string::npos; }

  void read_mamba(const Config& config) {
    const int n_groups = config.positive("n_groups");
    mamba = {
        .hidden_size = hidden_size,
        .num_heads = config.positive("mamba_num_heads"),
        .head_dim = config.positive("mamba_head_dim"),
        .state_size = config.positive("ssm_state_size"),
        .n_groups = n_groups,
        .conv_kernel = config.positive("conv_kernel"),
        .proj_bias = config.boolean("mamba_proj_bias", false),
        .conv_bias = config.boolean("use_conv_bias", true),
        .time_step_limit = time_step_limit(config),
        .norm_eps = layer_norm_epsilon,
        .norm_groups = n_groups};
  }

  void read_moe(const Config& config) {
    router = {
        .num_experts = config.positive("n_routed_experts"),
        .top_k = config.positive("num_experts_per_tok"),
        .n_group = config.positive("n_group", 1),
        .topk_group = config.positive("topk_group", 1),
        .norm_topk_prob = config.boolean("norm_topk_prob", false),
        .scaling_factor = config.number("routed_scaling_factor")};
    check_router(*router);
    moe_intermediate_size = config.positive("moe_intermediate_size");
    if (config.has("n_shared_experts")) {
      shared_intermediate_size =
          config.positive("moe_shared_expert_intermediate_size", intermediate_size);
    }
    if (config.has("moe_latent_size")) moe_latent_size = config.positive("moe_latent_size");
  }
};

/// Attention without positions: what Mamba layers write has an order already.
class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path)
      : n_heads_(args.num_attention_heads),
        n_kv_heads_(args.num_key_value_heads),
        scale_(1.0f / std::sqrt(static_cast<float>(args.head_dim))),
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
            args.attention_bias) {}

  array operator()(const array& x, const Mask& mask, AttentionCache& cache) const {
    const array queries = split_heads(q_proj_(x), mask.batch, n_heads_);
    array keys = split_heads(k_proj_(x), mask.batch, n_kv_heads_);
    const array values = split_heads(v_proj_(x), mask.batch, n_kv_heads_);

    cache.append(keys, values);

    const array output = scaled_dot_product_attention(queries, cache, scale_, mask);
    return o_proj_(merge_heads(output));
  }

 private:
  int n_heads_;
  int n_kv_heads_;
  float scale_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path, int intermediate_size)
      : up_proj_(weights, path + ".up_proj", args.hidden_size, intermediate_size, args.mlp_bias),
        down_proj_(
            weights, path + ".down_proj", intermediate_size, args.hidden_size, args.mlp_bias) {}

  array operator()(const array& x) const { return down_proj_(relu_squared(up_proj_(x))); }

 private:
  Linear up_proj_, down_proj_;
};

class MoE {
 public:
  MoE(const ModelArgs& args, Weights& weights, const std::string& path)
      : gate_(weights, path + ".gate", args.hidden_size, *args.router),
        switch_mlp_(
            weights, path + ".switch_mlp",
            args.moe_latent_size > 0 ? args.moe_latent_size : args.hidden_size,
            args.moe_intermediate_size, args.router->num_experts, relu_squared) {
    if (args.shared_intermediate_size > 0) {
      shared_experts_.emplace(
          args, weights, path + ".shared_experts", args.shared_intermediate_size);
    }
    if (args.moe_latent_size > 0) {
      fc1_latent_proj_.emplace(
          weights, path + ".fc1_latent_proj", args.hidden_size, args.moe_latent_size,
          args.mlp_bias);
      fc2_latent_proj_.emplace(
          weights, path + ".fc2_latent_proj", args.moe_latent_size, args.hidden_size,
          args.mlp_bias);
    }
  }

  array operator()(const array& x) const {
    const auto [experts, scores] = gate_(x);
    const array latent = fc1_latent_proj_ ? (*fc1_latent_proj_)(x) : x;
    array y = weighted_sum(switch_mlp_(latent, experts), scores);
    if (fc2_latent_proj_) y = (*fc2_latent_proj_)(y);
    return shared_experts_ ? y + (*shared_experts_)(x) : y;
  }

 private:
  MoEGate gate_;
  SwitchMLP switch_mlp_;
  std::optional<MLP> shared_experts_;
  std::optional<Linear> fc1_latent_proj_, fc2_latent_proj_;
};

using Mixer = std::variant<Mamba2Mixer, Attention, MLP, MoE>;

Mixer make_mixer(char block, const ModelArgs& args, Weights& weights, const std::string& path) {
  switch (block) {
    case Block::mamba:
      return Mamba2Mixer(*args.mamba, weights, path);
    case Block::attention:
      return Attention(args, weights, path);
    case Block::moe:
      return MoE(args, weights, path);
    default:
      return MLP(args, weights, path, args.intermediate_size);
  }
}

class NemotronHBlock {
 public:
  NemotronHBlock(const ModelArgs& args, Weights& weights, const std::string& path, char block)
      : norm_(weights, path + ".norm", args.hidden_size, args.layer_norm_epsilon),
        mixer_(make_mixer(block, args, weights, path + ".mixer")) {}

  array operator()(const array& x, const Masks& masks, Cache& cache, size_t layer) const {
    const array normed = norm_(x);
    if (const auto* mamba = std::get_if<Mamba2Mixer>(&mixer_)) {
      return x + (*mamba)(normed, masks.batch(), cache.state(layer));
    }
    if (const auto* attention = std::get_if<Attention>(&mixer_)) {
      return x + (*attention)(normed, masks[layer], cache.attention(layer));
    }
    if (const auto* moe = std::get_if<MoE>(&mixer_)) return x + (*moe)(normed);
    return x + std::get<MLP>(mixer_)(normed);
  }

 private:
  RMSNorm norm_;
  Mixer mixer_;
};

class NemotronH : public Model {
 public:
  NemotronH(const ModelArgs& args, Weights& weights)
      : args_(args),
        embeddings_(weights, "backbone.embeddings", args.vocab_size, args.hidden_size),
        norm_f_(weights, "backbone.norm_f", args.hidden_size, args.layer_norm_epsilon),
        lm_head_(weights, "lm_head", args.hidden_size, args.vocab_size) {
    for (const char block : args.hybrid_override_pattern) {
      const std::string path = "backbone.layers." + std::to_string(layers_.size());
      layers_.emplace_back(args, weights, path, block);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embeddings_(tokens);
    const Masks masks(cache, tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, masks, cache, i);
    return norm_f_(h);
  }

  array logits(const array& hidden) const override { return lm_head_(hidden); }

  Cache make_cache() const override {
    Cache cache;
    for (const char block : args_.hybrid_override_pattern) {
      if (block == Block::attention) {
        cache.add<KVCache>();
      } else {
        cache.add<StateCache>(block == Block::mamba ? Mamba2Mixer::slots : 0);
      }
    }
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  ModelArgs args_;
  Embedding embeddings_;
  std::vector<NemotronHBlock> layers_;
  RMSNorm norm_f_;
  Linear lm_head_;
};

}  // namespace

std::unique_ptr<Model> make_nemotron_h(const Config& config, Weights& weights) {
  const ModelArgs args(config);
  // They guess further tokens.
  weights.drop([](const std::string& name) { return name.starts_with("mtp."); });
  transpose_conv_weights(weights, ".conv1d.weight");
  weights.keep_dtype({"e_score_correction_bias", "A_log"});
  for (size_t i = 0; args.router && i < args.hybrid_override_pattern.size(); i++) {
    const std::string path = "backbone.layers." + std::to_string(i) + ".mixer";
    stack_experts(weights, path, "up_proj", "fc1", args.router->num_experts);
    stack_experts(weights, path, "down_proj", "fc2", args.router->num_experts);
  }
  return std::make_unique<NemotronH>(args, weights);
}
