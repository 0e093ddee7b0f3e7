#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "grammar/grammar.h"
#include "mlx/ops.h"

struct GrammarOptions {
  std::shared_ptr<const Grammar> grammar;  // nothing for a free reply
  /// The grammar begins behind the first of these; until then anything may come but an end. Empty:
  /// it begins at once.
  std::vector<uint32_t> after;
};

/// Keeps the tokens of one reply within a grammar.
class Constraint {
 public:
  /// Nothing for a free reply.
  static std::unique_ptr<Constraint> of(
      const GrammarOptions& options, const std::vector<uint32_t>& stop_tokens, int vocab_size);

  Constraint(
      const GrammarOptions& options, const std::vector<uint32_t>& stop_tokens, int vocab_size);

  /// Reads the token that was chosen, no stop token, and works out what may come next.
  void read(uint32_t token);
  /// Whether nothing may come but an end.
  bool is_complete() const { return has_begun_ && grammar_.is_complete(); }
  /// Logits (1, vocab) of what may come next.
  mx::array apply(const mx::array& logits) const;

 private:
  void update();

  Grammar grammar_;
  const std::vector<uint32_t> after_;
  const int vocab_size_;
  bool has_begun_;
  mx::array allowed_;  // (1, vocab) bool
};
