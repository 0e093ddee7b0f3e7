#pragma once

#include <memory>
#include <vector>

#include "models/encoder.h"
#include "models/model.h"
#include "nn/dense.h"
#include "nn/pooling.h"

/// Reads texts and says what they are, not what comes next: with an encoder, or with a model that
/// generates as well. All results are float32.
class Embedder {
 public:
  Embedder(std::shared_ptr<const Model> model, std::vector<Dense> dense)
      : model_(std::move(model)), dense_(std::move(dense)) {}
  Embedder(std::shared_ptr<const Encoder> encoder, std::vector<Dense> dense)
      : encoder_(std::move(encoder)), dense_(std::move(dense)) {}

  /// A vector for each text, (B, D).
  mx::array embed(const Texts& texts, const std::vector<Pooling>& poolings) const;
  /// The judgements of a classifier, (B, labels).
  mx::array classify(const Texts& texts) const;
  /// The logits of these tokens behind each text, (B, tokens).
  mx::array next_logits(const Texts& texts, const std::vector<uint32_t>& tokens) const;

  /// Labels of the classifier; 0 where there is none.
  int labels() const { return encoder_ ? encoder_->labels() : 0; }
  bool is_encoder() const { return encoder_ != nullptr; }
  int vocab_size() const { return encoder_ ? encoder_->vocab_size() : model_->vocab_size(); }
  int segment_kinds() const { return encoder_ ? encoder_->segment_kinds() : 1; }
  int most_tokens() const { return encoder_ ? encoder_->most_tokens() : 0; }

 private:
  mx::array read(const Texts& texts) const;

  std::shared_ptr<const Model> model_;      // or
  std::shared_ptr<const Encoder> encoder_;  // one of them
  std::vector<Dense> dense_;
};
