#pragma once

#include <cstdint>
#include <memory>

#include "grammar/grammar.h"
#include "mlx/ops.h"

/// Keeps the tokens of one reply within a grammar.
class Constraint {
 public:
  /// Nothing for a free reply.
  static std::unique_ptr<Constraint> of(const Grammar* grammar, int vocab_size);

  Constraint(const Grammar& grammar, int vocab_size);

  /// Reads the token that was chosen, no stop token, and works out what may come next.
  void read(uint32_t token);
  /// Whether nothing may come but an end.
  bool is_complete() const { return grammar_.is_complete(); }
  /// Logits (1, vocab) of what may come next.
  mx::array apply(const mx::array& logits) const;

 private:
  void update();

  Grammar grammar_;
  const int vocab_size_;
  mx::array allowed_;  // (1, vocab) bool
};
