#pragma once

#include <optional>
#include <string>
#include <utility>

#include "mlx/ops.h"
#include "nn/cache.h"
#include "nn/kv_cache.h"
#include "nn/linear.h"
#include "nn/mask.h"
#include "nn/norm.h"
#include "weights.h"

/// Multi-token prediction: a layer behind a model's last one that was trained with it and guesses
/// the token after the next, of what the model thought and of the next token.
class MtpHead {
 public:
  virtual ~MtpHead() = default;

  /// Hidden states (n, D) of one text, the model's or its own, and the token (n) that follows each
  /// → its own hidden states (n, D); appends them to its cache.
  virtual mx::array operator()(
      const mx::array& hidden, const mx::array& following, Cache& cache) const = 0;
  /// Its own hidden states (n, D) → logits (n, vocab) of what comes behind the following tokens.
  virtual mx::array logits(const mx::array& hidden) const = 0;
  /// An empty cache.
  virtual Cache make_cache() const = 0;
};

/// Drops the layers from `layer` on, which config.json does not count, but for a head with all that
/// is its own: it has the place of the layer behind the last. Whether there is one.
bool keep_mtp_layer(Weights& weights, int layer);

/// The same for heads as Qwen has them, whose tensors have "mtp" in their names and one layer.
bool keep_mtp_module(Weights& weights);

/// DeepSeek's head, and what was built after it: https://arxiv.org/abs/2412.19437, 2.2. `Block` is
/// the model's decoder layer, `Kept` the cache of its attention. Token vectors and the matrix of
/// the logits are the model's.
template <typename Block, typename Kept>
class NextTokenHead : public MtpHead {
 public:
  NextTokenHead(
      Weights& weights, const std::string& path, int hidden_size, float norm_eps, Block block,
      Embedding embed_tokens, Linear lm_head)
      : enorm_(weights, path + ".enorm", hidden_size, norm_eps),
        hnorm_(weights, path + ".hnorm", hidden_size, norm_eps),
        eh_proj_(weights, path + ".eh_proj", 2 * hidden_size, hidden_size),
        norm_(weights, path + ".shared_head.norm", hidden_size, norm_eps),
        block_(std::move(block)),
        embed_tokens_(std::move(embed_tokens)),
        lm_head_(std::move(lm_head)) {}

  mx::array operator()(
      const mx::array& hidden, const mx::array& following, Cache& cache) const override {
    const mx::array tokens = mx::expand_dims(following, 0);
    const Masks masks(cache, tokens);
    const mx::array both[] = {enorm_(embed_tokens_(tokens)), hnorm_(hidden)};
    return block_(eh_proj_(mx::concatenate(both, 1)), masks[0], cache.attention(0));
  }

  mx::array logits(const mx::array& hidden) const override { return lm_head_(norm_(hidden)); }

  Cache make_cache() const override {
    Cache cache;
    cache.add<Kept>();
    return cache;
  }

 private:
  RMSNorm enorm_, hnorm_;
  Linear eh_proj_;
  RMSNorm norm_;
  Block block_;
  Embedding embed_tokens_;
  Linear lm_head_;
};

/// Qwen's head: `Layer` is the model's decoder layer, with attention; token vectors and the matrix
/// of the logits, if they are not the same, are the model's. What it guesses from again is what the
/// logits are made of.
template <typename Layer>
class MtpModule : public MtpHead {
 public:
  MtpModule(
      Weights& weights, int hidden_size, float norm_eps, Layer layer, Embedding embed_tokens,
      std::optional<Linear> lm_head)
      : pre_fc_norm_embedding_(weights, "mtp.pre_fc_norm_embedding", hidden_size, norm_eps),
        pre_fc_norm_hidden_(weights, "mtp.pre_fc_norm_hidden", hidden_size, norm_eps),
        fc_(weights, "mtp.fc", 2 * hidden_size, hidden_size),
        layer_(std::move(layer)),
        norm_(weights, "mtp.norm", hidden_size, norm_eps),
        embed_tokens_(std::move(embed_tokens)),
        lm_head_(std::move(lm_head)) {}

  mx::array operator()(
      const mx::array& hidden, const mx::array& following, Cache& cache) const override {
    const mx::array tokens = mx::expand_dims(following, 0);
    const Masks masks(cache, tokens);
    const mx::array both[] = {
        pre_fc_norm_embedding_(embed_tokens_(tokens)), pre_fc_norm_hidden_(hidden)};
    return norm_(layer_(fc_(mx::concatenate(both, 1)), masks, cache, 0));
  }

  mx::array logits(const mx::array& hidden) const override {
    return lm_head_ ? (*lm_head_)(hidden) : embed_tokens_.as_linear(hidden);
  }

  Cache make_cache() const override {
    Cache cache;
    cache.add<KVCache>();
    return cache;
  }

 private:
  RMSNorm pre_fc_norm_embedding_, pre_fc_norm_hidden_;
  Linear fc_;
  Layer layer_;
  RMSNorm norm_;
  Embedding embed_tokens_;
  std::optional<Linear> lm_head_;
};
