#include "nn/layer_cache.h"

mx::array row_indices(const std::vector<int>& rows) {
  return mx::from_data(std::span<const int32_t>(rows));
}

namespace {

mx::array one_row(const mx::array& a) { return mx::slice(a, 0, 0, 1); }

}  // namespace

CacheBytes StateCache::bytes() const {
  CacheBytes bytes;
  for (const mx::array& slot : slots_) bytes.fixed += slot ? slot.nbytes() : 0;
  return bytes;
}

void StateCache::append_arrays(std::vector<mx::array>& arrays) const {
  for (const mx::array& slot : slots_) {
    if (slot) arrays.push_back(slot);
  }
}

std::unique_ptr<LayerCache> StateCache::clone() const {
  return std::make_unique<StateCache>(*this);
}

std::vector<mx::array> StateCache::copy_slots(int row) const {
  std::vector<mx::array> slots;
  // Not a slice, which would keep the whole batch alive.
  for (const mx::array& slot : slots_) {
    slots.push_back(slot ? mx::take(slot, row_indices({row}), 0) : mx::array());
  }
  return slots;
}

void StateCache::join(std::span<const Part> parts) {
  for (size_t slot = 0; slot < slots_.size(); slot++) {
    mx::array like;
    for (const Part& part : parts) {
      if (const mx::array& state = static_cast<StateCache&>(*part.cache)[slot]) like = state;
    }
    if (!like) continue;
    std::vector<mx::array> rows;
    for (const auto& [cache, count] : parts) {
      const mx::array state = static_cast<StateCache&>(*cache)[slot];
      // Before the first token every state is zero.
      rows.push_back(state ? state : mx::repeat(mx::zeros_like(one_row(like)), count, 0));
    }
    slots_[slot] = mx::concatenate(rows, 0);
  }
}

void StateCache::keep_rows(const std::vector<int>& rows) {
  const mx::array indices = row_indices(rows);
  for (mx::array& slot : slots_) {
    if (slot) slot = mx::take(slot, indices, 0);
  }
}
