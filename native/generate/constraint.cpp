#include "generate/constraint.h"

#include <limits>

#include "mlx/bits.h"

using mx::array;

std::unique_ptr<Constraint> Constraint::of(const Grammar* grammar, int vocab_size) {
  return grammar ? std::make_unique<Constraint>(*grammar, vocab_size) : nullptr;
}

Constraint::Constraint(const Grammar& grammar, int vocab_size)
    : grammar_(grammar.clone()), vocab_size_(vocab_size) {
  update();
}

void Constraint::read(uint32_t token) {
  grammar_.consume(token);
  if (!is_complete()) update();
}

void Constraint::update() { allowed_ = mx::unpack_bits(grammar_.allowed(), vocab_size_); }

array Constraint::apply(const array& logits) const {
  const array never = mx::scalar(-std::numeric_limits<float>::infinity(), logits.dtype());
  return mx::where(allowed_, logits, never);
}
