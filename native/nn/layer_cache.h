#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "mlx/ops.h"

/// What the memory of one layer takes, as far as the shapes of one token tell it.
struct CacheBytes {
  size_t fixed = 0;      // however many tokens there are
  size_t per_token = 0;  // of those that are kept
  int most_tokens = 0;   // that are kept while decoding; 0 is all
};

class LayerCache;

/// One of the caches that join, and how many rows of a batch it has.
struct Part {
  LayerCache* cache;
  int rows;
};

/// What one layer remembers of the tokens so far, for each row of a batch.
class LayerCache {
 public:
  virtual ~LayerCache() = default;

  /// What it takes in memory; known once a token was appended.
  virtual CacheBytes bytes() const = 0;

  /// The arrays that hold the state.
  virtual void append_arrays(std::vector<mx::array>& arrays) const = 0;

  virtual std::unique_ptr<LayerCache> clone() const = 0;
  /// Becomes all parts, one behind the other; they are of the same kind, and the first is this.
  virtual void join(std::span<const Part> parts) = 0;
  /// Leaves out all rows but these.
  virtual void keep_rows(const std::vector<int>& rows) = 0;

  /// Notes this place of the text, for `return_to_mark`.
  virtual void mark() = 0;
  /// Forgets the tokens appended since the mark.
  virtual void return_to_mark() = 0;
};

/// The state of a convolution or a recurrent layer: one array (B, …) per slot, empty before the
/// first token. It cannot be cut back to any earlier token, but to the mark.
class StateCache : public LayerCache {
 public:
  explicit StateCache(size_t slots) : slots_(slots) {}

  mx::array& operator[](size_t slot) { return slots_[slot]; }

  /// The slots of one row, copied, and how they come back.
  std::vector<mx::array> copy_slots(int row) const;
  void restore(std::vector<mx::array> slots) { slots_ = std::move(slots); }

  CacheBytes bytes() const override;
  void append_arrays(std::vector<mx::array>& arrays) const override;
  std::unique_ptr<LayerCache> clone() const override;
  void join(std::span<const Part> parts) override;
  void keep_rows(const std::vector<int>& rows) override;
  void mark() override { marked_ = slots_; }
  void return_to_mark() override { slots_ = marked_; }

 private:
  std::vector<mx::array> slots_;
  std::vector<mx::array> marked_;
};

/// Indices of rows as `mx::take` wants them, (n).
mx::array row_indices(const std::vector<int>& rows);
