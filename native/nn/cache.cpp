#include "nn/cache.h"

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
