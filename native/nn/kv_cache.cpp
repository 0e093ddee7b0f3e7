#include "nn/kv_cache.h"

#include <algorithm>

using mx::array;

namespace {

constexpr int batch_axis = 0;
constexpr int time_axis = 2;

int rounded_up(int tokens) {
  constexpr int growth = AttentionCache::growth;
  return (tokens + growth - 1) / growth * growth;
}

array integer(int value) { return mx::from_data(std::span<const int32_t>(&value, 1)); }

array column(int start, int stop) { return mx::expand_dims(mx::arange(start, stop), 1); }

/// Whether rows, which start as much later as they lag, have the keys of these positions.
array not_before_the_row(const array& keys, const array& lags) {
  return mx::greater_equal(keys, lags);
}

}  // namespace

TokenRun TokenRun::slice(int from, int to) const {
  const auto part = [&](const KeptTokens& all) { return all.slice(from - start, to - start); };
  return {from, part(keys), part(values)};
}

TokenRun TokenRun::copy(int from, int to) const {
  const TokenRun part = slice(from, to);
  // Unlike a slice, and `contiguous` at times, this never shares memory.
  const array row = row_indices({0});
  return {from, part.keys.take_rows(row), part.values.take_rows(row)};
}

TokenRun AttentionCache::copy_tokens(int row, int start, int stop) const {
  const int first = tokens(row) - kept();  // before the text if other rows are longer
  const TokenRun kept{first, in_order(keys_.row(row)), in_order(values_.row(row))};
  return kept.copy(start, stop);
}

void AttentionCache::restore(std::span<const TokenRun> pieces, int room) {
  std::vector<KeptTokens> keys;
  std::vector<KeptTokens> values;
  for (const TokenRun& piece : pieces) {
    keys.push_back(piece.keys);
    values.push_back(piece.values);
  }
  offset_ = pieces.back().stop();
  const int kept = offset_ - pieces.front().start;
  if (const int more = rounded_up(room) - kept; window() == 0 && more > 0) {
    keys.push_back(keys[0].blank(1, more));
    values.push_back(values[0].blank(1, more));
  }
  keys_ = KeptTokens::concatenate(keys, time_axis);
  values_ = KeptTokens::concatenate(values, time_axis);
  set_kept(kept);
}

CacheBytes AttentionCache::bytes() const {
  if (!keys_) return {};
  const size_t room = static_cast<size_t>(keys_.room());
  return {
      .fixed = 0, .per_token = (keys_.nbytes() + values_.nbytes()) / room, .most_tokens = window()};
}

void AttentionCache::append_arrays(std::vector<array>& arrays) const {
  if (!keys_) return;
  for (const KeptTokens* kept : {&keys_, &values_}) {
    arrays.insert(arrays.end(), kept->parts().begin(), kept->parts().end());
  }
}

void AttentionCache::quantize(const KVQuantization& quantization) {
  keys_.quantize(quantization);
  values_.quantize(quantization);
}

void AttentionCache::write(const array& keys, const array& values) {
  const int start = kept();
  const int end = start + keys.dim(2);
  const int room = end > keys_.room() ? rounded_up(end) : keys_.room();
  keys_.write(keys, start, room);
  values_.write(values, start, room);
  offset_ += keys.dim(2);
}

array AttentionCache::lags() const { return lag_ ? lag_->array : integer(0); }

void AttentionCache::join(std::span<const Part> parts) {
  const AttentionCache* like = nullptr;
  int longest = 0;
  int most_kept = 0;
  for (const Part& part : parts) {
    auto& cache = static_cast<AttentionCache&>(*part.cache);
    if (!cache.keys_) continue;
    cache.put_in_order();
    like = &cache;
    longest = std::max(longest, cache.offset_);
    most_kept = std::max(most_kept, cache.kept());
  }
  if (!like) return;
  std::vector<KeptTokens> keys;
  std::vector<KeptTokens> values;
  std::vector<int> lag;
  for (const auto& [part, rows] : parts) {
    const auto& cache = static_cast<const AttentionCache&>(*part);
    const int missing = most_kept - cache.kept();
    keys.push_back(cache.keys_ ? cache.keys() : like->keys_.blank(rows, 0));
    values.push_back(cache.keys_ ? cache.values() : like->values_.blank(rows, 0));
    keys.back() = keys.back().padded(missing);
    values.back() = values.back().padded(missing);
    for (size_t row = 0; row < static_cast<size_t>(rows); row++) {
      lag.push_back(longest - cache.offset_ + (cache.lag_ ? cache.lag_->rows[row] : 0));
    }
  }
  keys_ = KeptTokens::concatenate(keys, batch_axis);
  values_ = KeptTokens::concatenate(values, batch_axis);
  offset_ = longest;
  lag_ = Lag::of(std::move(lag));
  set_kept(most_kept);
}

void AttentionCache::keep_rows(const std::vector<int>& rows) {
  if (!keys_) return;
  const array indices = row_indices(rows);
  keys_ = keys_.take_rows(indices);
  values_ = values_.take_rows(indices);
  if (!lag_) return;
  std::vector<int> lag;
  for (const int row : rows) lag.push_back(lag_->rows[static_cast<size_t>(row)]);
  const int common = *std::ranges::min_element(lag);
  if (common > 0) {
    // No row that is left is as long as the longest was.
    put_in_order();
    const int had = kept();
    const int has = std::min(had, offset_ - common);
    keys_ = keys_.slice(had - has, had);
    values_ = values_.slice(had - has, had);
    offset_ -= common;
    set_kept(has);
    for (int& tokens : lag) tokens -= common;
  }
  lag_ = Lag::of(std::move(lag));
}

void KVCache::append(const array& keys, const array& values) { write(keys, values); }

Mask KVCache::make_mask(int length) const {
  if (lag_) return {.mode = "array", .allowed = allowed(length)};
  // MLX aligns a causal mask to the last key, so that it holds for any offset.
  return length == 1 ? Mask{} : Mask{.mode = "causal", .allowed = {}};
}

array KVCache::allowed(int length) const {
  const array keys = mx::expand_dims(mx::arange(0, offset_ + length), 0);  // (1, keys)
  const array causal = mx::greater_equal(column(offset_, offset_ + length), keys);
  return lag_ ? mx::logical_and(causal, not_before_the_row(keys, lags())) : causal;
}

void RotatingKVCache::append(const array& keys, const array& values) {
  if (keys.dim(2) > 1) {
    append_in_order(keys, values);
  } else {
    write_in_ring(keys, values);
  }
}

int RotatingKVCache::kept() const { return std::min(offset_, keys_.room()); }

int RotatingKVCache::first_needed(int position) const {
  // One at least, for a cache of no tokens would be that of an empty text.
  return std::max(0, position - std::max(1, window_ - 1));
}

KeptTokens RotatingKVCache::in_order(const KeptTokens& ring, int most) const {
  const int count = std::min(offset_, ring.room());
  const int dropped = std::max(0, count - most);
  const int first = std::min(keep_, count);
  if (next_ == count && dropped == 0) return ring.first(count);
  if (next_ == count && first == 0) return ring.slice(dropped, count);
  std::vector<KeptTokens> parts;
  const auto add = [&](int start, int stop) {
    if (start < stop) parts.push_back(ring.slice(start, stop));
  };
  // What is dropped are the oldest behind the first.
  add(0, first);
  add(std::min(next_ + dropped, count), count);
  add(std::max(first, first + next_ + dropped - count), next_);
  return KeptTokens::concatenate(parts, 2);
}

void RotatingKVCache::put_in_order() {
  keys_ = in_order(keys_, window_);
  values_ = in_order(values_, window_);
  next_ = keys_.room();
}

void RotatingKVCache::append_in_order(const array& keys, const array& values) {
  const auto behind_kept = [&](const KeptTokens& kept, const array& fresh) {
    // The first new token sees window − 1 older ones.
    const KeptTokens older = kept.room() > 0 ? in_order(kept, window_ - 1) : kept;
    if (older.room() == 0) return kept.like_this(fresh);
    const KeptTokens parts[] = {older, kept.like_this(fresh)};
    return KeptTokens::concatenate(parts, 2);
  };
  keys_ = behind_kept(keys_, keys);
  values_ = behind_kept(values_, values);
  offset_ += keys.dim(2);
  next_ = keys_.room();
}

int RotatingKVCache::next_slot() const {
  if (keys_.room() > window_) return window_ - 1;
  return next_ == window_ ? keep_ : next_;
}

void RotatingKVCache::write_in_ring(const array& keys, const array& values) {
  // A prefill chunk left more than the window.
  if (keys_.room() > window_) return append_in_order(keys, values);
  const int slot = next_slot();
  const int room = std::max(keys_.room(), std::min(rounded_up(slot + 1), window_));
  keys_.write(keys, slot, room);
  values_.write(values, slot, room);
  offset_ += 1;
  next_ = slot + 1;
}

Mask RotatingKVCache::mask_for_one() const {
  const int count = kept_after_one();
  if (!lag_ || offset_ + 1 - count >= lag_->most()) return {};
  // Where the longest row has the tokens of each slot.
  std::vector<int> positions;
  const int slot = next_slot();
  for (int i = 0; i < count; i++) positions.push_back(offset_ - slot + i - (i > slot ? count : 0));
  const array keys = mx::expand_dims(row_indices(positions), 0);  // (1, keys)
  return {.mode = "array", .allowed = not_before_the_row(keys, lags())};
}

Mask RotatingKVCache::make_mask(int length) const {
  if (length == 1) return mask_for_one();
  const int kept = std::min(offset_, window_ - 1);
  if (!lag_ && kept + length <= window_) return {.mode = "causal", .allowed = {}};
  const int end = offset_ + length;
  const array queries = column(offset_, end);                              // (L, 1)
  const array keys = mx::expand_dims(mx::arange(offset_ - kept, end), 0);  // (1, keys)
  const array causal = mx::greater_equal(queries, keys);
  const array near = mx::logical_and(causal, mx::less(queries, keys + integer(window_)));
  return {
      .mode = "array",
      .allowed = lag_ ? mx::logical_and(near, not_before_the_row(keys, lags())) : near};
}

void RotatingKVCache::trim(int tokens) {
  // A pass of several tokens has left them in the order of time.
  next_ = keys_.room() - tokens;
  keys_ = keys_.slice(0, next_);
  values_ = values_.slice(0, next_);
  offset_ -= tokens;
}

void RotatingKVCache::mark() {
  marked_.reset();
  marked_ = std::make_shared<const RotatingKVCache>(*this);
}

CacheBytes ChunkedKVCache::bytes() const {
  CacheBytes bytes = AttentionCache::bytes();
  bytes.most_tokens = rounded_up(chunk_);
  return bytes;
}

int ChunkedKVCache::first_needed(int position) const {
  // One at least, for a cache of no tokens would be that of an empty text.
  return std::max(0, std::min(position / chunk_ * chunk_, position - 1));
}

void ChunkedKVCache::mark() {
  marked_.reset();
  marked_ = std::make_shared<const ChunkedKVCache>(*this);
}

int ChunkedKVCache::next_start() const {
  if (!lag_) return offset_ / chunk_ * chunk_;
  int first = offset_;
  for (const int lag : lag_->rows) {
    first = std::min(first, (offset_ - lag) / chunk_ * chunk_ + lag);
  }
  return first;
}

void ChunkedKVCache::append(const array& keys, const array& values) {
  if (const int start = next_start(); start > start_) {
    const int dropped = start - start_;
    const auto rest = [&](const KeptTokens& all) { return all.slice(dropped, kept()); };
    if (dropped < kept()) {
      std::tie(keys_, values_) = std::pair(rest(keys_), rest(values_));
    } else {
      keys_.clear();
      values_.clear();
    }
    start_ = start;
  }
  write(keys, values);
}

Mask ChunkedKVCache::make_mask(int length) const {
  const int end = offset_ + length;
  const int start = std::max(start_, next_start());
  if (!lag_ && length == 1) return {};
  if (!lag_ && end <= start + chunk_) return {.mode = "causal", .allowed = {}};
  const array queries = column(offset_, end);                     // (L, 1)
  const array keys = mx::expand_dims(mx::arange(start, end), 0);  // (1, keys)
  const auto chunk_of = [&](const array& positions) {
    return mx::floor_divide(positions - lags(), integer(chunk_));
  };
  const array same = mx::equal(chunk_of(queries), chunk_of(keys));
  const array causal = mx::logical_and(mx::greater_equal(queries, keys), same);
  // Before a row its chunks would count backwards to 0.
  return {
      .mode = "array",
      .allowed = lag_ ? mx::logical_and(causal, not_before_the_row(keys, lags())) : causal};
}
