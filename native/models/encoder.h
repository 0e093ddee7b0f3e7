#pragma once

#include <memory>
#include <string>

#include "config.h"
#include "nn/texts.h"
#include "weights.h"

/// A model that reads texts as wholes, every token looking both ways, and writes none: its hidden
/// states become vectors, or judgements. One file per architecture implements it.
class Encoder {
 public:
  virtual ~Encoder() = default;

  /// Texts (B, L) → hidden states (B · L, D).
  virtual mx::array operator()(const Texts& texts) const = 0;
  /// Hidden states (B · L, D) → judgements (B, labels); only where there are labels.
  virtual mx::array classify(const mx::array& hidden, const Texts& texts) const;
  /// What it judges; 0 for one that only reads.
  virtual int labels() const { return 0; }
  virtual int vocab_size() const = 0;
  /// Kinds of segments that a text may have.
  virtual int segment_kinds() const { return 1; }
  /// Tokens that a text may have; 0 where nothing bounds them.
  virtual int most_tokens() const { return 0; }
};

/// Whether config.json describes an encoder, not a model that generates.
bool is_encoder(const Config& config);

/// Builds the encoder that config.json describes, taking its tensors from `weights`.
std::unique_ptr<Encoder> make_encoder(const Config& config, Weights& weights);

/// How many labels config.json counts.
int labels_of(const Config& config);
