#include "nn/cache.h"

#include <algorithm>
#include <typeinfo>

#include "engine_error.h"

namespace {

// As mlx-lm: what a text begins with draws much attention, https://arxiv.org/abs/2309.17453.
constexpr int attention_sinks = 4;

}  // namespace

bool Cache::keeps_all_tokens() const {
  return std::ranges::all_of(layers_, [](const auto& layer) {
    return dynamic_cast<const KVCache*>(layer.get()) != nullptr;
  });
}

void Cache::join(std::span<Cache* const> others) {
  for (size_t layer = 0; layer < layers_.size(); layer++) {
    std::vector<Part> parts{{layers_[layer].get(), rows_}};
    for (Cache* other : others) parts.push_back({other->layers_[layer].get(), other->rows_});
    layers_[layer]->join(parts);
  }
  for (Cache* other : others) {
    rows_ += other->rows_;
    other->layers_.clear();
    other->rows_ = 0;
  }
}

void Cache::keep_rows(const std::vector<int>& rows) {
  for (const auto& layer : layers_) layer->keep_rows(rows);
  rows_ = static_cast<int>(rows.size());
}

Cache Cache::copy_rows(const std::vector<int>& rows) const {
  Cache copy;
  for (const auto& layer : layers_) copy.layers_.push_back(layer->clone());
  copy.keep_rows(rows);
  return copy;
}

void Cache::limit(int max_kv_size) {
  if (max_kv_size <= attention_sinks) {
    throw EngineError("invalid_argument", "maxKvSize must be more than 4");
  }
  for (auto& layer : layers_) {
    auto* attention = dynamic_cast<AttentionCache*>(layer.get());
    if (!attention || attention->window() > 0) continue;
    if (typeid(*attention) != typeid(KVCache)) {
      throw EngineError(
          "unsupported_max_kv_size",
          "the attention of this model cannot forget: leave out maxKvSize");
    }
    if (attention->offset().longest() > 0) {
      throw EngineError("invalid_argument", "maxKvSize must be known before the first token");
    }
    layer = std::make_unique<RotatingKVCache>(max_kv_size, attention_sinks);
  }
}

void Cache::mark() {
  for (const auto& layer : layers_) layer->mark();
}

void Cache::return_to_mark() {
  for (const auto& layer : layers_) layer->return_to_mark();
}

bool Cache::has_state() const {
  return std::ranges::any_of(
      layers_, [](const auto& layer) { return dynamic_cast<const StateCache*>(layer.get()); });
}

void Cache::trim(int tokens) {
  for (size_t layer = 0; layer < layers_.size(); layer++) attention(layer).trim(tokens);
}

void Cache::quantize(const KVQuantization& quantization) {
  for (const auto& layer : layers_) {
    if (auto* attention = dynamic_cast<AttentionCache*>(layer.get())) {
      attention->quantize(quantization);
    }
  }
}

std::vector<mx::array> Cache::arrays() const {
  std::vector<mx::array> arrays;
  for (const auto& layer : layers_) layer->append_arrays(arrays);
  return arrays;
}
