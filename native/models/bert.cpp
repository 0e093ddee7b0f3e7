// BERT: https://arxiv.org/abs/1810.04805, and RoBERTa, which counts positions otherwise:
// https://arxiv.org/abs/1907.11692

#include <cmath>
#include <optional>

#include "mlx/ops.h"
#include "models/checks.h"
#include "models/encoders.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/pooling.h"

namespace {

using mx::array;

/// The defaults are those of transformers' configuration.
struct ModelArgs {
  int hidden_size;
  int num_hidden_layers;
  int intermediate_size;
  int num_attention_heads;
  int vocab_size;
  int type_vocab_size;
  int max_position_embeddings;
  int first_position;
  float layer_norm_eps;
  int num_labels;

  ModelArgs(const Config& config, int first_position, int num_labels)
      : hidden_size(config.positive("hidden_size", 768)),
        num_hidden_layers(config.positive("num_hidden_layers", 12)),
        intermediate_size(config.positive("intermediate_size", 3072)),
        num_attention_heads(config.positive("num_attention_heads", 12)),
        vocab_size(config.positive("vocab_size", 30522)),
        type_vocab_size(config.positive("type_vocab_size", 2)),
        max_position_embeddings(config.positive("max_position_embeddings", 512)),
        first_position(first_position),
        layer_norm_eps(config.positive_number("layer_norm_eps", 1e-12f)),
        num_labels(num_labels) {
    if (hidden_size % num_attention_heads != 0) {
      refuse_config("\"num_attention_heads\" must divide \"hidden_size\"");
    }
    if (first_position >= max_position_embeddings) {
      refuse_config("\"max_position_embeddings\" leaves no position behind \"pad_token_id\"");
    }
    check_only(config, "hidden_act", "gelu");
    check_only(config, "position_embedding_type", "absolute");
    if (config.boolean("is_decoder", false)) refuse_config("\"is_decoder\" is not supported");
  }
};

class Embeddings {
 public:
  Embeddings(const ModelArgs& args, Weights& weights, const std::string& path)
      : first_position_(args.first_position),
        word_embeddings_(weights, path + ".word_embeddings", args.vocab_size, args.hidden_size),
        position_embeddings_(
            weights, path + ".position_embeddings", args.max_position_embeddings, args.hidden_size),
        token_type_embeddings_(
            weights, path + ".token_type_embeddings", args.type_vocab_size, args.hidden_size),
        norm_(weights, path + ".LayerNorm", args.hidden_size, args.layer_norm_eps) {}

  array operator()(const Texts& texts) const {
    const array words = word_embeddings_(texts.tokens());
    const int dims = words.dim(1);
    const array places = mx::arange(first_position_, first_position_ + texts.longest());
    const array positions = position_embeddings_(places);  // (L, D)
    const array h = mx::reshape(words, {texts.count(), texts.longest(), dims}) + positions;
    const array segments = texts.segments() ? texts.segments() : mx::zeros({1}, mx::uint32);
    const array types = token_type_embeddings_(segments);  // (B · L, D) or (1, D)
    return norm_(mx::reshape(h, {-1, dims}) + types);
  }

 private:
  int first_position_;
  Embedding word_embeddings_, position_embeddings_, token_type_embeddings_;
  LayerNorm norm_;
};

class Attention {
 public:
  Attention(const ModelArgs& args, Weights& weights, const std::string& path)
      : n_heads_(args.num_attention_heads),
        scale_(
            1.0f / std::sqrt(static_cast<float>(args.hidden_size) / static_cast<float>(n_heads_))),
        query_(weights, path + ".self.query", args.hidden_size, args.hidden_size, true),
        key_(weights, path + ".self.key", args.hidden_size, args.hidden_size, true),
        value_(weights, path + ".self.value", args.hidden_size, args.hidden_size, true),
        dense_(weights, path + ".output.dense", args.hidden_size, args.hidden_size, true),
        norm_(weights, path + ".output.LayerNorm", args.hidden_size, args.layer_norm_eps) {}

  array operator()(const array& x, const Mask& mask) const {
    const array queries = split_heads(query_(x), mask.batch, n_heads_);
    const array keys = split_heads(key_(x), mask.batch, n_heads_);
    const array values = split_heads(value_(x), mask.batch, n_heads_);
    const array output = scaled_dot_product_attention(queries, keys, values, scale_, mask);
    return norm_(x + dense_(merge_heads(output)));
  }

 private:
  int n_heads_;
  float scale_;
  Linear query_, key_, value_, dense_;
  LayerNorm norm_;
};

class Layer {
 public:
  Layer(const ModelArgs& args, Weights& weights, const std::string& path)
      : attention_(args, weights, path + ".attention"),
        intermediate_(
            weights, path + ".intermediate.dense", args.hidden_size, args.intermediate_size, true),
        output_(weights, path + ".output.dense", args.intermediate_size, args.hidden_size, true),
        norm_(weights, path + ".output.LayerNorm", args.hidden_size, args.layer_norm_eps) {}

  array operator()(const array& x, const Mask& mask) const {
    const array h = attention_(x, mask);
    return norm_(h + output_(gelu(intermediate_(h))));
  }

 private:
  Attention attention_;
  Linear intermediate_, output_;
  LayerNorm norm_;
};

/// Where the two layers of a classifier lie that follow the first token.
struct ClassifierNames {
  std::string dense;
  std::string out;
};

class Bert : public Encoder {
 public:
  Bert(const ModelArgs& args, Weights& weights, const ClassifierNames& classifier)
      : args_(args), embeddings_(args, weights, "embeddings") {
    for (int i = 0; i < args.num_hidden_layers; i++) {
      layers_.emplace_back(args, weights, "encoder.layer." + std::to_string(i));
    }
    if (args.num_labels == 0) return;
    dense_.emplace(weights, classifier.dense, args.hidden_size, args.hidden_size, true);
    out_.emplace(weights, classifier.out, args.hidden_size, args.num_labels, true);
  }

  array operator()(const Texts& texts) const override {
    array h = embeddings_(texts);
    const Mask mask = texts.whole();
    for (const Layer& layer : layers_) h = layer(h, mask);
    return h;
  }

  array classify(const array& hidden, const Texts& texts) const override {
    return (*out_)(mx::tanh((*dense_)(first_tokens(hidden, texts))));
  }

  int labels() const override { return args_.num_labels; }
  int vocab_size() const override { return args_.vocab_size; }
  int segment_kinds() const override { return args_.type_vocab_size; }
  int most_tokens() const override { return args_.max_position_embeddings - args_.first_position; }

 private:
  ModelArgs args_;
  Embeddings embeddings_;
  std::vector<Layer> layers_;
  std::optional<Linear> dense_, out_;
};

/// Leaves the names of the bare encoder: checkpoints with a head have them below a prefix, old ones
/// call what belongs to a norm otherwise, and what only served training is dropped.
void sanitize(Weights& weights, const std::string& prefix) {
  weights.drop([](const std::string& name) {
    return name.ends_with("position_ids") || name.starts_with("cls.") ||
           name.starts_with("lm_head.");
  });
  weights.rename([&](const std::string& name) {
    std::string bare = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    const auto replace_end = [&](const std::string& old, const std::string& now) {
      if (bare.ends_with(old)) bare.replace(bare.size() - old.size(), old.size(), now);
    };
    replace_end("LayerNorm.gamma", "LayerNorm.weight");
    replace_end("LayerNorm.beta", "LayerNorm.bias");
    return bare;
  });
}

/// Labels of a classifier; 0 where the checkpoint has none.
int count_labels(const Config& config, const Weights& weights, const std::string& out) {
  return weights.has(out + ".weight") ? labels_of(config) : 0;
}

}  // namespace

std::unique_ptr<Encoder> make_bert(const Config& config, Weights& weights) {
  const ClassifierNames names{"pooler.dense", "classifier"};
  sanitize(weights, "bert.");
  const int labels = count_labels(config, weights, names.out);
  // Trained for other ends, and no part of the hidden states.
  if (labels == 0) {
    weights.drop([](const std::string& name) { return name.starts_with("pooler."); });
  }
  return std::make_unique<Bert>(ModelArgs(config, 0, labels), weights, names);
}

std::unique_ptr<Encoder> make_xlm_roberta(const Config& config, Weights& weights) {
  const ClassifierNames names{"classifier.dense", "classifier.out_proj"};
  sanitize(weights, "roberta.");
  weights.drop([](const std::string& name) { return name.starts_with("pooler."); });
  const int labels = count_labels(config, weights, names.out);
  // Positions up to the number of the padding token stand for padding.
  const int first_position = config.count("pad_token_id", 1) + 1;
  return std::make_unique<Bert>(ModelArgs(config, first_position, labels), weights, names);
}
