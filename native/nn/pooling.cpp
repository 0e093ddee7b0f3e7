#include "nn/pooling.h"

#include <limits>
#include <map>

#include "engine_error.h"
#include "nn/layer_cache.h"

using mx::array;

namespace {

const std::map<std::string, Pooling> names = {
    {"cls", Pooling::cls},
    {"lasttoken", Pooling::lasttoken},
    {"max", Pooling::max},
    {"mean", Pooling::mean},
    {"mean_sqrt_len_tokens", Pooling::mean_sqrt_len_tokens},
    {"weightedmean", Pooling::weightedmean},
};

/// One row of hidden states for each text: the one at a place of it.
template <typename PlaceOf>
array token_of_each(const array& hidden, const Texts& texts, PlaceOf place_of) {
  std::vector<int> rows;
  for (const int length : texts.lengths()) {
    rows.push_back(static_cast<int>(rows.size()) * texts.longest() + place_of(length));
  }
  return mx::take(hidden, row_indices(rows), 0);
}

/// Tokens (B, L, D), where padding is 0, each times its weight (1, L, 1) and their sum divided by
/// that of the weights.
array weighted_mean(const array& tokens, const Texts& texts, const array& weights) {
  const array is_token = mx::expand_dims(mx::astype(texts.is_token(), mx::float32), -1);
  return mx::sum(tokens * weights, 1) / mx::sum(is_token * weights, 1);
}

/// Tokens (B, L, D) → (B, 1, D)
array pool(const array& tokens, const Texts& texts, Pooling pooling) {
  const array is_token = mx::expand_dims(texts.is_token(), -1);
  if (pooling == Pooling::max) {
    const array never = mx::scalar(-std::numeric_limits<float>::infinity(), mx::float32);
    return mx::max(mx::where(is_token, tokens, never), 1);
  }
  const array kept = mx::where(is_token, tokens, mx::scalar(0.0f, mx::float32));
  const int longest = texts.longest();
  if (pooling == Pooling::weightedmean) {
    const array places = mx::arange(1, longest + 1, 1, mx::float32);
    return weighted_mean(kept, texts, mx::reshape(places, {1, longest, 1}));
  }
  const array mean = weighted_mean(kept, texts, mx::ones({1, longest, 1}, mx::float32));
  if (pooling == Pooling::mean) return mean;
  const array counts = mx::sum(mx::astype(is_token, mx::float32), 1);
  return mean * mx::sqrt(counts);
}

}  // namespace

Pooling to_pooling(const std::string& name) {
  const auto found = names.find(name);
  if (found != names.end()) return found->second;
  throw EngineError("invalid_argument", "there is no pooling \"" + name + "\"");
}

array pool(const array& hidden, const Texts& texts, const std::vector<Pooling>& poolings) {
  const int dims = hidden.dim(1);
  const array rows = mx::astype(hidden, mx::float32);
  const array tokens = mx::reshape(rows, {texts.count(), texts.longest(), dims});
  std::vector<array> vectors;
  for (const Pooling pooling : poolings) {
    switch (pooling) {
      case Pooling::cls:
        vectors.push_back(first_tokens(rows, texts));
        break;
      case Pooling::lasttoken:
        vectors.push_back(last_tokens(rows, texts));
        break;
      default:
        vectors.push_back(mx::squeeze(pool(tokens, texts, pooling), 1));
    }
  }
  return vectors.size() == 1 ? vectors[0] : mx::concatenate(vectors, -1);
}

array first_tokens(const array& hidden, const Texts& texts) {
  return token_of_each(hidden, texts, [](int) { return 0; });
}

array last_tokens(const array& hidden, const Texts& texts) {
  return token_of_each(hidden, texts, [](int length) { return length - 1; });
}
