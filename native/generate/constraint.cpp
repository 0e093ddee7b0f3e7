#include "generate/constraint.h"

#include <algorithm>
#include <limits>

#include "mlx/bits.h"

using mx::array;

namespace {

constexpr uint32_t bits_per_word = 32;

/// Everything but some tokens, a bit each.
std::vector<uint32_t> all_but(const std::vector<uint32_t>& tokens, int vocab_size) {
  const auto words = (static_cast<uint32_t>(vocab_size) + bits_per_word - 1) / bits_per_word;
  std::vector<uint32_t> bits(words, ~uint32_t{0});
  for (const uint32_t token : tokens) {
    bits[token / bits_per_word] &= ~(uint32_t{1} << token % bits_per_word);
  }
  return bits;
}

}  // namespace

std::unique_ptr<Constraint> Constraint::of(
    const GrammarOptions& options, const std::vector<uint32_t>& stop_tokens, int vocab_size) {
  if (!options.grammar) return nullptr;
  return std::make_unique<Constraint>(options, stop_tokens, vocab_size);
}

Constraint::Constraint(
    const GrammarOptions& options, const std::vector<uint32_t>& stop_tokens, int vocab_size)
    : grammar_(options.grammar->clone()),
      after_(options.after),
      vocab_size_(vocab_size),
      has_begun_(options.after.empty()) {
  if (has_begun_) {
    update();
  } else {
    allowed_ = mx::unpack_bits(all_but(stop_tokens, vocab_size), vocab_size);
  }
}

void Constraint::read(uint32_t token) {
  if (has_begun_) {
    grammar_.consume(token);
  } else if (std::ranges::find(after_, token) != after_.end()) {
    has_begun_ = true;
  } else {
    return;
  }
  if (!is_complete()) update();
}

void Constraint::update() { allowed_ = mx::unpack_bits(grammar_.allowed(), vocab_size_); }

array Constraint::apply(const array& logits) const {
  const array never = mx::scalar(-std::numeric_limits<float>::infinity(), logits.dtype());
  return mx::where(allowed_, logits, never);
}
