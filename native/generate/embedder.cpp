#include "generate/embedder.h"

#include "engine_error.h"

using mx::array;

array Embedder::read(const Texts& texts) const {
  if (most_tokens() > 0 && texts.longest() > most_tokens()) {
    throw EngineError(
        "invalid_argument", "a text may have " + std::to_string(most_tokens()) + " tokens");
  }
  if (texts.segments() && texts.segment_kinds() > segment_kinds()) {
    throw EngineError("invalid_argument", "the model knows no such segments");
  }
  if (encoder_) return (*encoder_)(texts);
  // Padding comes behind a text, where none of its tokens looks.
  Cache cache = model_->make_cache();
  return (*model_)(texts.tokens(), cache);
}

array Embedder::embed(const Texts& texts, const std::vector<Pooling>& poolings) const {
  array vectors = pool(read(texts), texts, poolings);
  for (const Dense& dense : dense_) vectors = dense(vectors);
  return mx::astype(vectors, mx::float32);
}

array Embedder::classify(const Texts& texts) const {
  if (labels() == 0) throw EngineError("unsupported_task", "it has no classifier");
  return mx::astype(encoder_->classify(read(texts), texts), mx::float32);
}

array Embedder::next_logits(const Texts& texts, const std::vector<uint32_t>& tokens) const {
  if (!model_) throw EngineError("unsupported_task", "it foretells no tokens");
  const array logits = model_->logits(last_tokens(read(texts), texts));
  return mx::astype(mx::take(logits, mx::from_data(tokens), 1), mx::float32);
}
