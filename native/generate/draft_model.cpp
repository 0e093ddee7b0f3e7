#include "generate/draft_model.h"

#include <algorithm>
#include <limits>
#include <vector>

using mx::array;

namespace {

// Read between two steps of the larger model, which goes on meanwhile.
constexpr size_t chunk = 512;

/// Logits (1, n) for a vocabulary of another size: models fill theirs up with tokens that no text
/// has.
array resized(const array& logits, int size) {
  const int missing = size - logits.dim(1);
  if (missing <= 0) return mx::slice(logits, 1, 0, size);
  const array never = mx::scalar(-std::numeric_limits<float>::infinity(), logits.dtype());
  const array both[] = {logits, mx::zeros({1, missing}, logits.dtype()) + never};
  return mx::concatenate(both, 1);
}

}  // namespace

DraftModel::DraftModel(std::shared_ptr<const Model> model, int vocab_size, int tokens)
    : model_(std::move(model)),
      vocab_size_(vocab_size),
      tokens_(tokens),
      cache_(model_->make_cache()) {}

bool DraftModel::is_ready(Text text) {
  if (text.size() - read_ <= chunk) return true;
  (*model_)(known(text.subspan(read_, chunk)), cache_);
  mx::eval(cache_.arrays());
  read_ += chunk;
  return false;
}

array DraftModel::draft(Text text, int most, const Sampler& sampler, const array& previous) {
  Sampler own = sampler;
  std::vector<array> tokens;
  array logits = last_logits(known(text.subspan(read_)));
  read_ = text.size();
  cache_.mark();
  const int count = std::min(tokens_, most);
  for (int i = 0; i < count; i++) {
    if (i > 0) logits = last_logits(mx::expand_dims(tokens.back(), 0));
    tokens.push_back(own(logits, i == 0 ? previous : tokens.back()).token);
  }
  cache_.return_to_mark();
  return mx::concatenate(tokens, 0);
}

/// Tokens (1, n), as far as this model knows them.
array DraftModel::known(Text text) const {
  std::vector<uint32_t> tokens(text.begin(), text.end());
  for (uint32_t& token : tokens) {
    token = std::min(token, static_cast<uint32_t>(model_->vocab_size() - 1));
  }
  const mx::Shape shape{1, static_cast<int>(tokens.size())};
  return mx::from_data(std::span<const uint32_t>(tokens), shape);
}

/// Logits (1, vocab) behind tokens (1, n), which are appended to the cache.
array DraftModel::last_logits(const array& tokens) {
  const array hidden = (*model_)(tokens, cache_);  // (n, D)
  const int count = hidden.dim(0);
  return resized(model_->logits(mx::slice(hidden, 0, count - 1, count)), vocab_size_);
}
