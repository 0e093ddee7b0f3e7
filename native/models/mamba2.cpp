// Mamba 2: https://arxiv.org/abs/2405.21060

#include "nn/mamba2.h"

#include <optional>

#include "mlx/ops.h"
#include "models/models.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace {

using mx::array;

struct ModelArgs {
  int num_heads;
  int head_dim;
  int vocab_size;
  int hidden_size;
  int ssm_state_size;
  int num_hidden_layers;
  float layer_norm_epsilon;
  int conv_kernel;
  int n_groups;
  bool use_bias;
  bool use_conv_bias;
  bool tie_word_embeddings;
  TimeStepLimit time_step_limit;

  explicit ModelArgs(const Config& config)
      : num_heads(config.positive("num_heads")),
        head_dim(config.positive("head_dim")),
        vocab_size(config.positive("vocab_size")),
        hidden_size(config.positive("hidden_size")),
        ssm_state_size(
            config.has("ssm_state_size") ? config.positive("ssm_state_size")
                                         : config.positive("state_size")),
        num_hidden_layers(config.positive("num_hidden_layers")),
        layer_norm_epsilon(config.positive_number("layer_norm_epsilon")),
        conv_kernel(config.positive("conv_kernel")),
        n_groups(config.positive("n_groups")),
        use_bias(config.boolean("use_bias", false)),
        use_conv_bias(config.boolean("use_conv_bias", true)),
        tie_word_embeddings(config.boolean("tie_word_embeddings", false)),
        time_step_limit(::time_step_limit(config)) {}

  Mamba2Mixer::Args mixer() const {
    return {
        .hidden_size = hidden_size,
        .num_heads = num_heads,
        .head_dim = head_dim,
        .state_size = ssm_state_size,
        .n_groups = n_groups,
        .conv_kernel = conv_kernel,
        .proj_bias = use_bias,
        .conv_bias = use_conv_bias,
        .time_step_limit = time_step_limit,
        .norm_eps = layer_norm_epsilon};
  }
};

class ResidualBlock {
 public:
  ResidualBlock(const ModelArgs& args, Weights& weights, const std::string& path)
      : mixer_(args.mixer(), weights, path + ".mixer"),
        norm_(weights, path + ".norm", args.hidden_size, 1e-5f) {}  // whatever the config says

  array operator()(const array& x, int batch, StateCache& cache) const {
    return mixer_(norm_(x), batch, cache) + x;
  }

 private:
  Mamba2Mixer mixer_;
  RMSNorm norm_;
};

class Mamba2 : public Model {
 public:
  Mamba2(const ModelArgs& args, Weights& weights)
      : args_(args),
        embeddings_(weights, "backbone.embeddings", args.vocab_size, args.hidden_size),
        norm_f_(weights, "backbone.norm_f", args.hidden_size, args.layer_norm_epsilon) {
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "backbone.layers." + std::to_string(i));
    }
    if (!args.tie_word_embeddings) {
      lm_head_.emplace(weights, "lm_head", args.hidden_size, args.vocab_size);
    }
  }

  array operator()(const array& tokens, Cache& cache) const override {
    array h = embeddings_(tokens);
    for (size_t i = 0; i < layers_.size(); i++) h = layers_[i](h, tokens.dim(0), cache.state(i));
    return norm_f_(h);
  }

  array logits(const array& hidden) const override {
    return lm_head_ ? (*lm_head_)(hidden) : embeddings_.as_linear(hidden);
  }

  Cache make_cache() const override {
    Cache cache;
    for (int i = 0; i < args_.num_hidden_layers; i++) cache.add<StateCache>(Mamba2Mixer::slots);
    return cache;
  }

  int vocab_size() const override { return args_.vocab_size; }

 private:
  ModelArgs args_;
  Embedding embeddings_;
  std::vector<ResidualBlock> layers_;
  RMSNorm norm_f_;
  std::optional<Linear> lm_head_;
};

}  // namespace

std::unique_ptr<Model> make_mamba2(const Config& config, Weights& weights) {
  transpose_conv_weights(weights, ".conv1d.weight");
  return std::make_unique<Mamba2>(ModelArgs(config), weights);
}
