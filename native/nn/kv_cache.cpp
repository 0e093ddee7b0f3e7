#include "nn/kv_cache.h"

#include <algorithm>
#include <typeinfo>

using mx::array;

namespace {

constexpr int time_axis = 2;

int rounded_up(int tokens) {
  constexpr int growth = AttentionCache::growth;
  return (tokens + growth - 1) / growth * growth;
}

/// `old` (may be empty) with room for `room` tokens.
array with_room(const array& old, const array& like, int room) {
  const int missing = room - (old ? old.dim(time_axis) : 0);
  const array fresh = mx::zeros({like.dim(0), like.dim(1), missing, like.dim(3)}, like.dtype());
  if (!old) return fresh;
  const array parts[] = {old, fresh};
  return mx::concatenate(parts, time_axis);
}

array first_tokens(const array& a, int count) {
  return a.dim(time_axis) == count ? a : mx::slice(a, time_axis, 0, count);
}

}  // namespace

CacheBytes AttentionCache::bytes() const {
  if (!keys_) return {};
  const size_t room = static_cast<size_t>(keys_.dim(time_axis));
  return {
      .fixed = 0, .per_token = (keys_.nbytes() + values_.nbytes()) / room, .most_tokens = window()};
}

std::pair<array, array> AttentionCache::keys_and_values() const {
  return {first_tokens(keys_, kept()), first_tokens(values_, kept())};
}

void AttentionCache::write(const array& keys, const array& values) {
  const int start = kept();
  const int end = start + keys.dim(time_axis);
  if (!keys_ || end > keys_.dim(time_axis)) {
    keys_ = with_room(keys_, keys, rounded_up(end));
    values_ = with_room(values_, values, rounded_up(end));
  }
  keys_ = mx::slice_update(keys_, keys, time_axis, start);
  values_ = mx::slice_update(values_, values, time_axis, start);
  offset_ += keys.dim(time_axis);
}

void KVCache::append(const array& keys, const array& values) { write(keys, values); }

Mask KVCache::make_mask(int length) const {
  // MLX aligns a causal mask to the last key, so that it holds for any offset.
  return length == 1 ? Mask{} : Mask{.mode = "causal", .allowed = {}};
}

void RotatingKVCache::append(const array& keys, const array& values) {
  if (keys.dim(time_axis) > 1) {
    append_in_order(keys, values);
  } else {
    write_in_ring(keys, values);
  }
}

int RotatingKVCache::kept() const { return std::min(offset_, keys_.dim(time_axis)); }

array RotatingKVCache::in_order(const array& ring, int most) const {
  const int count = std::min(offset_, ring.dim(time_axis));
  array ordered = first_tokens(ring, count);
  if (next_ < count) {
    const array parts[] = {
        mx::slice(ring, time_axis, next_, count), mx::slice(ring, time_axis, 0, next_)};
    ordered = mx::concatenate(parts, time_axis);
  }
  return count > most ? mx::slice(ordered, time_axis, count - most, count) : ordered;
}

void RotatingKVCache::append_in_order(const array& keys, const array& values) {
  if (keys_) {
    // The first new token sees window − 1 older ones.
    const array key_parts[] = {in_order(keys_, window_ - 1), keys};
    const array value_parts[] = {in_order(values_, window_ - 1), values};
    keys_ = mx::concatenate(key_parts, time_axis);
    values_ = mx::concatenate(value_parts, time_axis);
  } else {
    keys_ = keys;
    values_ = values;
  }
  offset_ += keys.dim(time_axis);
  next_ = keys_.dim(time_axis);
}

void RotatingKVCache::write_in_ring(const array& keys, const array& values) {
  const int room = keys_ ? keys_.dim(time_axis) : 0;
  // A prefill chunk left more than the window.
  if (room > window_) return append_in_order(keys, values);
  if (next_ == room && room < window_) {
    const int wanted = std::min(rounded_up(room + 1), window_);
    keys_ = with_room(keys_, keys, wanted);
    values_ = with_room(values_, values, wanted);
  }
  if (next_ == window_) next_ = 0;
  keys_ = mx::slice_update(keys_, keys, time_axis, next_);
  values_ = mx::slice_update(values_, values, time_axis, next_);
  offset_ += 1;
  next_ += 1;
}

Mask RotatingKVCache::make_mask(int length) const {
  if (length == 1) return {};
  const int kept = std::min(offset_, window_ - 1);
  if (kept + length <= window_) return {.mode = "causal", .allowed = {}};
  const array queries = mx::expand_dims(mx::arange(kept, kept + length), 1);  // (L, 1)
  const array keys = mx::expand_dims(mx::arange(0, kept + length), 0);        // (1, keys)
  const array window = mx::from_data(std::span<const int32_t>(&window_, 1));
  const array causal = mx::greater_equal(queries, keys);
  return {.mode = "array", .allowed = mx::logical_and(causal, mx::less(queries, keys + window))};
}

CacheBytes StateCache::bytes() const {
  CacheBytes bytes;
  for (const array& slot : slots_) bytes.fixed += slot ? slot.nbytes() : 0;
  return bytes;
}

CacheBytes ChunkedKVCache::bytes() const {
  CacheBytes bytes = AttentionCache::bytes();
  bytes.most_tokens = rounded_up(chunk_);
  return bytes;
}

void ChunkedKVCache::append(const array& keys, const array& values) {
  if (next_start() > start_) {
    const int dropped = next_start() - start_;
    keys_ = dropped < kept() ? mx::slice(keys_, time_axis, dropped, kept()) : array();
    values_ = dropped < kept() ? mx::slice(values_, time_axis, dropped, kept()) : array();
    start_ = next_start();
  }
  write(keys, values);
}

Mask ChunkedKVCache::make_mask(int length) const {
  if (length == 1) return {};
  const int end = offset_ + length;
  if (end <= next_start() + chunk_) return {.mode = "causal", .allowed = {}};
  const array queries = mx::expand_dims(mx::arange(offset_, end), 1);    // (L, 1)
  const array keys = mx::expand_dims(mx::arange(next_start(), end), 0);  // (1, keys)
  const array chunk = mx::from_data(std::span<const int32_t>(&chunk_, 1));
  const array same = mx::equal(mx::floor_divide(queries, chunk), mx::floor_divide(keys, chunk));
  return {.mode = "array", .allowed = mx::logical_and(mx::greater_equal(queries, keys), same)};
}

Masks::Masks(const Cache& cache, const array& tokens) : batch_(tokens.dim(0)) {
  std::vector<const AttentionCache*> made_for;
  for (size_t layer = 0; layer < cache.size(); layer++) {
    const auto* attention = dynamic_cast<const AttentionCache*>(&cache[layer]);
    const auto alike = std::ranges::find_if(made_for, [&](const AttentionCache* other) {
      return attention && typeid(*other) == typeid(*attention) &&
             other->window() == attention->window();
    });
    by_layer_.push_back(static_cast<size_t>(alike - made_for.begin()));
    if (!attention || alike != made_for.end()) continue;
    made_for.push_back(attention);
    masks_.push_back(attention->make_mask(tokens.dim(1)));
    masks_.back().batch = batch_;
  }
}
