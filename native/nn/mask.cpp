#include "nn/mask.h"

#include <algorithm>
#include <typeinfo>

#include "nn/cache.h"

Masks::Masks(const Cache& cache, const mx::array& tokens) : batch_(tokens.dim(0)) {
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
