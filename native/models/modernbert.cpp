// ModernBERT: https://arxiv.org/abs/2412.13663

#include <cmath>
#include <optional>
#include <tuple>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/encoders.h"
#include "models/layer_types.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/pooling.h"
#include "nn/rope.h"

namespace {

using mx::array;

/// The defaults are those of transformers' configuration.
struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int intermediate_size;
  int num_attention_heads;
  int vocab_size;
  int max_position_embeddings;
  float norm_eps;
  bool norm_bias;
  bool attention_bias;
  bool mlp_bias;
  bool classifier_bias;
  float global_rope_theta;
  float local_rope_theta;
  int local_attention;
  int global_attn_every_n_layers;
  std::vector<std::string> layer_types;
  std::string classifier_pooling;
  int num_labels;

  ModelArgs(const Config& config, int num_labels)
      : hidden_size(config.positive("hidden_size", 768)),
        num_hidden_layers(config.positive("num_hidden_layers", 22)),
        intermediate_size(config.positive("intermediate_size", 1152)),
        num_attention_heads(config.positive("num_attention_heads", 12)),
        vocab_size(config.positive("vocab_size", 50368)),
        max_position_embeddings(config.positive("max_position_embeddings", 8192)),
        norm_eps(config.positive_number("norm_eps", 1e-5f)),
        norm_bias(config.boolean("norm_bias", false)),
        attention_bias(config.boolean("attention_bias", false)),
        mlp_bias(config.boolean("mlp_bias", false)),
        classifier_bias(config.boolean("classifier_bias", false)),
        global_rope_theta(theta(config, "full_attention", "global_rope_theta", 160000.0f)),
        local_rope_theta(theta(config, "sliding_attention", "local_rope_theta", 10000.0f)),
        local_attention(config.positive("local_attention", 128)),
        global_attn_every_n_layers(config.positive("global_attn_every_n_layers", 3)),
        layer_types(::layer_types(config, num_hidden_layers)),
        classifier_pooling(config.text("classifier_pooling", "cls")),
        num_labels(num_labels) {
    if (hidden_size % num_attention_heads != 0) {
      refuse_config("\"num_attention_heads\" must divide \"hidden_size\"");
    }
    check_only(config, "hidden_activation", "gelu");
    check_only(config, "classifier_activation", "gelu");
    if (config.has("rope_scaling")) refuse_config("\"rope_scaling\" is not supported");
    if (classifier_pooling != "cls" && classifier_pooling != "mean") {
      refuse_config("\"classifier_pooling\" must be \"cls\" or \"mean\"");
    }
  }

  bool is_local(int layer) const {
    if (layer_types.empty()) return layer % global_attn_every_n_layers != 0;
    return layer_types[static_cast<size_t>(layer)] == "sliding_attention";
  }

 private:
  // transformers 5 nests the settings of both kinds of layers under "rope_parameters".
  static float theta(
      const Config& config, const std::string& kind, const std::string& key, float fallback) {
    const Config& nested = config["rope_parameters"][kind];
    if (nested.text("rope_type", "default") != "default") {
      refuse_config("\"rope_parameters\" has a \"rope_type\" that is not supported");
    }
    return nested.positive_number("rope_theta", config.positive_number(key, fallback));
  }
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope)
      : n_heads_(args.num_attention_heads),
        scale_(
            1.0f / std::sqrt(static_cast<float>(args.hidden_size) / static_cast<float>(n_heads_))),
        Wqkv_(
            weights, path + ".Wqkv", args.hidden_size, checked_product(3, args.hidden_size),
            args.attention_bias),
        Wo_(weights, path + ".Wo", args.hidden_size, args.hidden_size, args.attention_bias),
        rope_(rope) {}

  array operator()(const array& x, const Mask& mask) const {
    const array all = Wqkv_(x);
    const auto part = [&](int index) {
      const array heads = mx::slice(all, 1, index * x.dim(1), (index + 1) * x.dim(1));
      return split_heads(heads, mask.batch, n_heads_);
    };
    const auto [queries, keys] = rope_(part(0), part(1), Positions(0));
    const array output = scaled_dot_product_attention(queries, keys, part(2), scale_, mask);
    return Wo_(merge_heads(output));
  }

 private:
  int n_heads_;
  float scale_;
  Linear Wqkv_, Wo_;
  RoPE rope_;
};

class MLP {
 public:
  MLP(const ModelArgs& args, Weights& weights, const std::string& path)
      : Wi_(weights, path + ".Wi", args.hidden_size, checked_product(2, args.intermediate_size),
            args.mlp_bias),
        Wo_(weights, path + ".Wo", args.intermediate_size, args.hidden_size, args.mlp_bias) {}

  array operator()(const array& x) const {
    const array both = Wi_(x);
    const int dims = both.dim(1) / 2;
    const array gate = mx::slice(both, 1, dims, 2 * dims);
    return Wo_(gelu(mx::slice(both, 1, 0, dims)) * gate);
  }

 private:
  Linear Wi_, Wo_;
};

class EncoderLayer {
 public:
  EncoderLayer(
      const ModelArgs& args, Weights& weights, const std::string& path, const RoPE& rope,
      bool is_first)
      : attn_(args, weights, path + ".attn", rope),
        mlp_(args, weights, path + ".mlp"),
        mlp_norm_(weights, path + ".mlp_norm", args.hidden_size, args.norm_eps, args.norm_bias) {
    // The embeddings have been normed.
    if (is_first) return;
    attn_norm_.emplace(
        weights, path + ".attn_norm", args.hidden_size, args.norm_eps, args.norm_bias);
  }

  array operator()(const array& x, const Mask& mask) const {
    const array h = x + attn_(attn_norm_ ? (*attn_norm_)(x) : x, mask);
    return h + mlp_(mlp_norm_(h));
  }

 private:
  Attention attn_;
  MLP mlp_;
  std::optional<LayerNorm> attn_norm_;
  LayerNorm mlp_norm_;
};

class Classifier {
 public:
  Classifier(const ModelArgs& args, Weights& weights)
      : pooling_(to_pooling(args.classifier_pooling)),
        dense_(weights, "head.dense", args.hidden_size, args.hidden_size, args.classifier_bias),
        norm_(weights, "head.norm", args.hidden_size, args.norm_eps, args.norm_bias),
        classifier_(weights, "classifier", args.hidden_size, args.num_labels, true) {}

  array operator()(const array& hidden, const Texts& texts) const {
    const array pooled = mx::astype(pool(hidden, texts, {pooling_}), hidden.dtype());
    return classifier_(norm_(gelu(dense_(pooled))));
  }

 private:
  Pooling pooling_;
  Linear dense_;
  LayerNorm norm_;
  Linear classifier_;
};

class ModernBert : public Encoder {
 public:
  ModernBert(const ModelArgs& args, Weights& weights)
      : args_(args),
        tok_embeddings_(
            weights, "model.embeddings.tok_embeddings", args.vocab_size, args.hidden_size),
        norm_(weights, "model.embeddings.norm", args.hidden_size, args.norm_eps, args.norm_bias),
        final_norm_(weights, "model.final_norm", args.hidden_size, args.norm_eps, args.norm_bias) {
    const int head_dim = args.hidden_size / args.num_attention_heads;
    const RoPE global_rope(head_dim, args.global_rope_theta);
    const RoPE local_rope(head_dim, args.local_rope_theta);
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(
          args, weights, "model.layers." + std::to_string(i),
          args.is_local(i) ? local_rope : global_rope, i == 0);
    }
    if (args.num_labels > 0) classifier_.emplace(args, weights);
  }

  array operator()(const Texts& texts) const override {
    array h = norm_(tok_embeddings_(texts.tokens()));
    const Mask global = texts.whole();
    const Mask local = texts.near(args_.local_attention / 2);
    for (size_t i = 0; i < layers_.size(); i++) {
      h = layers_[i](h, args_.is_local(static_cast<int>(i)) ? local : global);
    }
    return final_norm_(h);
  }

  array classify(const array& hidden, const Texts& texts) const override {
    return (*classifier_)(hidden, texts);
  }

  int labels() const override { return args_.num_labels; }
  int vocab_size() const override { return args_.vocab_size; }
  int most_tokens() const override { return args_.max_position_embeddings; }

 private:
  ModelArgs args_;
  Embedding tok_embeddings_;
  LayerNorm norm_;
  std::vector<EncoderLayer> layers_;
  LayerNorm final_norm_;
  std::optional<Classifier> classifier_;
};

}  // namespace

std::unique_ptr<Encoder> make_modernbert(const Config& config, Weights& weights) {
  add_prefix(weights, "model.", "embeddings.tok_embeddings.weight");
  const int labels = weights.has("classifier.weight") ? labels_of(config) : 0;
  // What predicts masked words served training.
  weights.drop([&](const std::string& name) {
    return name.starts_with("decoder.") || (labels == 0 && name.starts_with("head."));
  });
  return std::make_unique<ModernBert>(ModelArgs(config, labels), weights);
}
