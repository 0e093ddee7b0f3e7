#pragma once

#include <map>
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

/// The keys and values of one attention layer, and with them the position of the next token.
/// Offsets are host integers: a lazy offset would grow the graph with every step.
class LayerCache {
 public:
  virtual ~LayerCache() = default;

  /// Position of the next token.
  int offset() const { return offset_; }

  /// Appends keys and values (B, heads, L, D); returns those that the new tokens attend to.
  virtual std::pair<mx::array, mx::array> update_and_fetch(
      const mx::array& keys, const mx::array& values) = 0;

  /// The mask for `length` tokens that are about to be appended.
  virtual Mask make_mask(int length) const = 0;

  /// How many tokens a query looks back on, itself included; 0 is all.
  virtual int window() const { return 0; }

  /// The arrays that hold the state, to evaluate after a prefill chunk.
  void append_state(std::vector<mx::array>& state) const {
    if (keys_) state.insert(state.end(), {keys_, values_});
  }

 protected:
  mx::array keys_;    // (B, heads, room, D)
  mx::array values_;  // (B, heads, room, D)
  int offset_ = 0;
};

/// Keeps everything.
class KVCache : public LayerCache {
 public:
  std::pair<mx::array, mx::array> update_and_fetch(
      const mx::array& keys, const mx::array& values) override;
  Mask make_mask(int length) const override;
};

/// Keeps the last `window` tokens: a ring while decoding, in order of time while prefilling.
class RotatingKVCache : public LayerCache {
 public:
  explicit RotatingKVCache(int window) : window_(window) {}

  std::pair<mx::array, mx::array> update_and_fetch(
      const mx::array& keys, const mx::array& values) override;
  Mask make_mask(int length) const override;
  int window() const override { return window_; }

 private:
  void append_in_order(const mx::array& keys, const mx::array& values);
  void write_in_ring(const mx::array& keys, const mx::array& values);
  /// The kept part of a ring, oldest first, at most `most` tokens.
  mx::array in_order(const mx::array& ring, int most) const;

  int window_;
  int next_ = 0;  // slot of the next token; every slot before it is in order of time
};

/// One entry per layer.
using Cache = std::vector<std::unique_ptr<LayerCache>>;

/// The masks of one forward pass by layer; layers with the same window share one.
class Masks {
 public:
  /// For tokens (B, L) that are about to be appended.
  Masks(const Cache& cache, const mx::array& tokens);

  const Mask& operator[](size_t layer) const { return *by_layer_[layer]; }

 private:
  std::map<int, Mask> by_window_;
  std::vector<const Mask*> by_layer_;
};
