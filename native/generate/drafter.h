#pragma once

#include <cstdint>
#include <span>

#include "generate/sampler.h"

/// A prompt and the reply so far.
using Text = std::span<const uint32_t>;

/// Guesses how a text goes on. It may guess anything: what the model would not have chosen is
/// thrown away.
class Drafter {
 public:
  virtual ~Drafter() = default;

  /// Whether it is ready to guess behind a text; called at every step, of the same text growing.
  virtual bool is_ready(Text text) = 0;
  /// The next tokens (n) uint32, from 1 to `most`; empty if it has no guess. `sampler` is what
  /// chooses the token behind the text next, told of `previous`; its copy draws alike.
  virtual mx::array draft(
      Text text, int most, const Sampler& sampler, const mx::array& previous) = 0;
  /// Hears how many of the tokens drafted last the model would have chosen, too.
  virtual void learn(int /* drafted */, int /* accepted */) {}
};
