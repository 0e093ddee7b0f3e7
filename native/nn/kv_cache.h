#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "nn/kept_tokens.h"
#include "nn/layer_cache.h"
#include "nn/mask.h"
#include "nn/positions.h"

/// Keys and values of one text's tokens from a position on.
struct TokenRun {
  int start = 0;
  KeptTokens keys;
  KeptTokens values;

  int stop() const { return start + keys.room(); }
  size_t nbytes() const { return keys.nbytes() + values.nbytes(); }
  /// A part, which keeps the whole alive, or its copy.
  TokenRun slice(int from, int to) const;
  TokenRun copy(int from, int to) const;
};

/// The keys and values of one attention layer, and with them the positions of the next tokens. In a
/// batch all rows end at the same place; what shorter ones lack at the start is masked.
class AttentionCache : public LayerCache {
 public:
  /// Room grows by this many tokens, so that decoding seldom moves the cache.
  static constexpr int growth = 256;

  CacheBytes bytes() const override;
  void append_arrays(std::vector<mx::array>& arrays) const override;
  void join(std::span<const Part> parts) override;
  void keep_rows(const std::vector<int>& rows) override;

  /// Positions of the next tokens.
  Positions offset() const { return Positions(offset_, lag_); }

  /// Appends keys (B, heads, L, D) and values (B, heads, L, V).
  virtual void append(const mx::array& keys, const mx::array& values) = 0;
  /// What the last appended tokens attend to.
  KeptTokens keys() const { return keys_.first(kept()); }
  KeptTokens values() const { return values_.first(kept()); }

  /// The mask for `length` tokens that are about to be appended.
  virtual Mask make_mask(int length) const = 0;

  /// How many tokens a query looks back on, itself included; 0 is all.
  virtual int window() const { return 0; }

  /// The tokens that a row has seen; the first of them that it still keeps; and the first one that
  /// it needs for the token at a position, of those before it.
  int tokens(int row) const { return offset_ - (lag_ ? lag_->rows[static_cast<size_t>(row)] : 0); }
  int first_kept(int row) const { return std::max(0, tokens(row) - kept()); }
  virtual int first_needed(int position) const = 0;
  /// What a row keeps of the tokens from `start` to `stop`, copied.
  TokenRun copy_tokens(int row, int start, int stop) const;
  /// Becomes the cache of a text of which it is given what it needs, piece by piece, with room for
  /// `room` tokens.
  void restore(std::span<const TokenRun> pieces, int room);
  /// Forgets the last tokens of those that the last pass appended, which were at least two.
  virtual void trim(int tokens) { offset_ -= tokens; }

  /// Packs keys and values, now and from now on.
  virtual void quantize(const KVQuantization& quantization);

 protected:
  /// How many tokens the arrays hold; what follows is room.
  virtual int kept() const = 0;
  /// Adds tokens behind the kept ones, with more room where it is needed.
  void write(const mx::array& keys, const mx::array& values);
  /// Brings what is kept, which is something, into the order of time, without what no next token
  /// looks at.
  virtual void put_in_order() {}
  /// Those of the kept tokens, in the order of time.
  virtual KeptTokens in_order(const KeptTokens& kept) const { return kept.first(this->kept()); }
  /// Notes that the arrays hold as many tokens, in the order of time, and no more room.
  virtual void set_kept(int) {}
  /// The lags of the rows, (B, 1, 1, 1), or 0 where they are alike.
  mx::array lags() const;

  KeptTokens keys_;
  KeptTokens values_;
  int offset_ = 0;  // of the longest row
  std::shared_ptr<const Lag> lag_;
};

/// Keeps everything.
class KVCache : public AttentionCache {
 public:
  void append(const mx::array& keys, const mx::array& values) override;
  Mask make_mask(int length) const override;
  int first_needed(int) const override { return 0; }
  std::unique_ptr<LayerCache> clone() const override { return std::make_unique<KVCache>(*this); }
  void mark() override { marked_ = offset_; }
  void return_to_mark() override { offset_ = marked_; }

 protected:
  int kept() const override { return offset_; }
  /// The keys that `length` more tokens may look at: (L, keys) or (B, 1, L, keys)
  mx::array allowed(int length) const;

 private:
  int marked_ = 0;
};

/// Keeps `window` tokens, the first `keep` and the last: a ring while decoding, in order of time
/// while prefilling. One with a `keep` is for a batch of one row.
class RotatingKVCache : public AttentionCache {
 public:
  explicit RotatingKVCache(int window, int keep = 0) : window_(window), keep_(keep) {}

  void append(const mx::array& keys, const mx::array& values) override;
  Mask make_mask(int length) const override;
  int window() const override { return window_; }
  int keep() const { return keep_; }
  int first_needed(int position) const override;
  std::unique_ptr<LayerCache> clone() const override {
    return std::make_unique<RotatingKVCache>(*this);
  }
  void trim(int tokens) override;
  void mark() override;
  void return_to_mark() override { *this = RotatingKVCache(*marked_); }

 private:
  int kept() const override;
  void put_in_order() override;
  KeptTokens in_order(const KeptTokens& kept) const override { return in_order(kept, kept.room()); }
  void set_kept(int tokens) override { next_ = tokens; }
  void append_in_order(const mx::array& keys, const mx::array& values);
  void write_in_ring(const mx::array& keys, const mx::array& values);
  /// The slot that the next single token is written to, and how many are kept then.
  int next_slot() const;
  int kept_after_one() const { return std::min(offset_ + 1, window_); }
  Mask mask_for_one() const;
  /// The kept part of a ring, oldest first, at most `most` tokens, among them the first `keep`.
  KeptTokens in_order(const KeptTokens& ring, int most) const;

  int window_;
  int keep_;
  int next_ = 0;  // slot of the next token; every slot before it is in order of time
  std::shared_ptr<const RotatingKVCache> marked_;
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
  int first_needed(int position) const override;
  std::unique_ptr<LayerCache> clone() const override {
    return std::make_unique<ChunkedKVCache>(*this);
  }
  void mark() override;
  void return_to_mark() override { *this = ChunkedKVCache(*marked_); }

 private:
  int kept() const override { return offset_ - start_; }
  void set_kept(int tokens) override { start_ = offset_ - tokens; }
  /// Where the chunk of the next token starts, of all rows the first.
  int next_start() const;

  int chunk_;
  int start_ = 0;  // position of the first kept token
  std::shared_ptr<const ChunkedKVCache> marked_;
};
