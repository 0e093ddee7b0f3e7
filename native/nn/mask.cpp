#include "nn/mask.h"

#include <algorithm>
#include <string_view>
#include <typeinfo>

#include "nn/cache.h"

using mx::array;

namespace {

/// Lets the tokens of images look ahead, `later` (L, L), at those of the same image.
Mask look_ahead(const Mask& mask, const AttentionCache& cache, const array& later) {
  const int length = later.dim(0);
  const int window = cache.window();
  const int before = cache.offset().longest();
  const int older = window > 0 ? std::min(before, window - 1) : before;
  const array allowed = allowed_keys(mask, length, older + length);
  const array parts[] = {
      mx::slice(allowed, -1, 0, older),
      mx::logical_or(mx::slice(allowed, -1, older, older + length), later)};
  return {.mode = "array", .allowed = older > 0 ? mx::concatenate(parts, -1) : parts[1]};
}

}  // namespace

array allowed_keys(const Mask& mask, int length, int keys) {
  if (std::string_view(mask.mode) != "causal") return mask.allowed;
  return mx::greater_equal(
      mx::expand_dims(mx::arange(keys - length, keys), 1), mx::expand_dims(mx::arange(0, keys), 0));
}

Masks::Masks(const Cache& cache, const array& tokens, std::span<const SeenImage> images)
    : batch_(tokens.dim(0)) {
  const int length = tokens.dim(1);
  const bool looks_ahead = length > 1 && !images.empty();
  const array later = looks_ahead ? later_in_image(length, images) : array();
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
    masks_.push_back(attention->make_mask(length));
    if (later) masks_.back() = look_ahead(masks_.back(), *attention, later);
    masks_.back().batch = batch_;
  }
}
