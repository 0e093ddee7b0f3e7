#include "generate/logits.h"

std::vector<float> all_logits(
    const Model& model, Cache& cache, const std::vector<uint32_t>& tokens) {
  const mx::array batch = mx::from_data(tokens, {1, static_cast<int>(tokens.size())});
  return mx::to_floats(model.logits(model(batch, cache)));
}
