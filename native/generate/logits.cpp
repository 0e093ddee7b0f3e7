#include "generate/logits.h"

std::vector<float> all_logits(
    const Model& model, Cache& cache, const std::vector<uint32_t>& tokens,
    std::span<const SeenImage> images) {
  const mx::array batch = mx::from_data(tokens, {1, static_cast<int>(tokens.size())});
  const mx::array hidden =
      images.empty() ? model(batch, cache) : model.read_images(batch, images, cache);
  return mx::to_floats(model.logits(hidden));
}
