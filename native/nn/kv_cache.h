#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "mlx/ops.h"

/// Which keys each query may look at.
struct Mask {
  int batch = 1;          // rows of the batch
  const char* mode = "";  // "" = all keys, "causal", or "array"
  mx::array allowed;      // (L, keys) booleans when mode is "array"
};

/// What the memory of one layer takes, as far as the shapes of one token tell it.
struct CacheBytes {
  size_t fixed = 0;      // however many tokens there are
  size_t per_token = 0;  // of those that are kept
  int most_tokens = 0;   // that are kept while decoding; 0 is all
};

/// What one layer remembers of the tokens so far.
class LayerCache {
 public:
  virtual ~LayerCache() = default;

  /// What it takes in memory; known once a token was appended.
  virtual CacheBytes bytes() const = 0;

  /// The arrays that hold the state, to evaluate after a prefill chunk.
  virtual void append_state(std::vector<mx::array>& state) const = 0;
};

/// The keys and values of one attention layer, and with them the position of the next token.
/// Offsets are host integers: a lazy offset would grow the graph with every step.
class AttentionCache : public LayerCache {
 public:
  /// Room grows by this many tokens, so that decoding seldom moves the cache.
  static constexpr int growth = 256;

  CacheBytes bytes() const override;

  /// Position of the next token.
  int offset() const { return offset_; }

  /// Appends keys (B, heads, L, D) and values (B, heads, L, V); returns those that the new tokens
  /// attend to.
  std::pair<mx::array, mx::array> update_and_fetch(const mx::array& keys, const mx::array& values) {
    append(keys, values);
    return keys_and_values();
  }
  virtual void append(const mx::array& keys, const mx::array& values) = 0;
  /// What the last appended tokens attend to, for layers that share the cache of another one.
  std::pair<mx::array, mx::array> keys_and_values() const;

  /// The mask for `length` tokens that are about to be appended.
  virtual Mask make_mask(int length) const = 0;

  /// How many tokens a query looks back on, itself included; 0 is all.
  virtual int window() const { return 0; }

  void append_state(std::vector<mx::array>& state) const override {
    if (keys_) state.insert(state.end(), {keys_, values_});
  }

 protected:
  /// How many tokens the arrays hold; what follows is room.
  virtual int kept() const = 0;
  /// Adds tokens behind the kept ones, with more room where it is needed.
  void write(const mx::array& keys, const mx::array& values);

  mx::array keys_;    // (B, heads, room, D)
  mx::array values_;  // (B, heads, room, V)
  int offset_ = 0;
};

/// Keeps everything.
class KVCache : public AttentionCache {
 public:
  void append(const mx::array& keys, const mx::array& values) override;
  Mask make_mask(int length) const override;

 private:
  int kept() const override { return offset_; }
};

/// Keeps the last `window` tokens: a ring while decoding, in order of time while prefilling.
class RotatingKVCache : public AttentionCache {
 public:
  explicit RotatingKVCache(int window) : window_(window) {}

  void append(const mx::array& keys, const mx::array& values) override;
  Mask make_mask(int length) const override;
  int window() const override { return window_; }

 private:
  int kept() const override;
  void append_in_order(const mx::array& keys, const mx::array& values);
  void write_in_ring(const mx::array& keys, const mx::array& values);
  /// The kept part of a ring, oldest first, at most `most` tokens.
  mx::array in_order(const mx::array& ring, int most) const;

  int window_;
  int next_ = 0;  // slot of the next token; every slot before it is in order of time
};

/// Keeps the last of the chunks of `chunk` tokens into which Llama 4 cuts a text: a query looks at
/// its own chunk only.
class ChunkedKVCache : public AttentionCache {
 public:
  explicit ChunkedKVCache(int chunk) : chunk_(chunk) {}

  CacheBytes bytes() const override;
  void append(const mx::array& keys, const mx::array& values) override;
  Mask make_mask(int length) const override;
  int window() const override { return chunk_; }

 private:
  int kept() const override { return offset_ - start_; }
  /// Where the chunk of the next token starts.
  int next_start() const { return offset_ / chunk_ * chunk_; }

  int chunk_;
  int start_ = 0;  // position of the first kept token
};

/// The state of a convolution or a recurrent layer: one array per slot, empty before the first
/// token. It cannot be cut back to an earlier token.
class StateCache : public LayerCache {
 public:
  explicit StateCache(size_t slots) : slots_(slots) {}

  mx::array& operator[](size_t slot) { return slots_[slot]; }

  CacheBytes bytes() const override;

  void append_state(std::vector<mx::array>& state) const override {
    for (const mx::array& slot : slots_) {
      if (slot) state.push_back(slot);
    }
  }

 private:
  std::vector<mx::array> slots_;
};

/// What all layers remember: one timeline of tokens. A model makes it and knows which kind each of
/// its layers has.
class Cache {
 public:
  template <typename Kind, typename... Arguments>
  void add(Arguments... arguments) {
    layers_.push_back(std::make_unique<Kind>(arguments...));
  }

  size_t size() const { return layers_.size(); }
  const LayerCache& operator[](size_t layer) const { return *layers_[layer]; }
  AttentionCache& attention(size_t layer) { return static_cast<AttentionCache&>(*layers_[layer]); }
  StateCache& state(size_t layer) { return static_cast<StateCache&>(*layers_[layer]); }

 private:
  std::vector<std::unique_ptr<LayerCache>> layers_;
};

/// The masks of one forward pass by layer; layers that look back alike share one.
class Masks {
 public:
  /// For tokens (B, L) that are about to be appended.
  Masks(const Cache& cache, const mx::array& tokens);

  /// Rows of the batch.
  int batch() const { return batch_; }
  /// The mask of an attention layer.
  const Mask& operator[](size_t layer) const { return masks_[by_layer_[layer]]; }

 private:
  int batch_;
  std::vector<Mask> masks_;
  std::vector<size_t> by_layer_;  // place in `masks_`
};
