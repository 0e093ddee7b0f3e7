#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config.h"
#include "nn/cache.h"
#include "nn/images.h"
#include "nn/mtp_head.h"
#include "weights.h"

/// What makes an image into vectors that stand in the place of tokens. Its weights are read at the
/// first image.
class Vision {
 public:
  virtual ~Vision() = default;

  /// Pixels (H, W, 3) → (tokens, D)
  virtual mx::array operator()(const mx::array& pixels) const = 0;
  /// Pixels along an edge.
  virtual int image_size() const = 0;
  /// Tokens that stand for an image.
  virtual int tokens() const = 0;
};

/// A causal language model. One file per architecture implements it; see docs/adding-a-model.md.
class Model {
 public:
  virtual ~Model() = default;

  /// Token ids (B, L) → hidden states (B · L, D), a row for each token as matrices want them;
  /// appends the tokens to the cache.
  virtual mx::array operator()(const mx::array& tokens, Cache& cache) const = 0;
  /// The same for a model that sees, where images stand in the place of some of the tokens (1, L).
  virtual mx::array read_images(
      const mx::array& tokens, std::span<const SeenImage> images, Cache& cache) const;
  /// Hidden states (n, D) → logits (n, vocab).
  virtual mx::array logits(const mx::array& hidden) const = 0;
  /// An empty cache, one entry per layer.
  virtual Cache make_cache() const = 0;
  virtual int vocab_size() const = 0;
  /// What guesses tokens ahead of it, if the checkpoint has such a head.
  virtual std::shared_ptr<const MtpHead> mtp_head() const { return nullptr; }

  /// The processes that share it.
  mx::Group group;
  /// What sees for it, if anything does.
  std::shared_ptr<const Vision> vision;
};

/// Builds the model that `model_type` of config.json names, taking its tensors from `weights`.
/// Throws `EngineError` "unknown_model_type" (with the known ones) or what the model finds wrong.
std::unique_ptr<Model> make_model(const Config& config, Weights& weights);

/// Every `model_type` that `make_model` knows, in alphabetical order.
std::vector<std::string> model_types();
