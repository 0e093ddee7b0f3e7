#pragma once

#include <cstddef>
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

  /// Hears what the model thought when it read tokens: hidden states (n, D), and of each the token
  /// (n) that follows, of which the last is the last of a text of `length` tokens. It does not hear
  /// of all: not of a remembered prefix, nor of what is read together with other texts.
  virtual void hear(
      const mx::array& /* hidden */, const mx::array& /* following */, size_t /* length */) {}
  /// Whether it is ready to guess behind a text, of which the last token may be missing; called at
  /// every step, of the same text growing.
  virtual bool is_ready(Text text) = 0;
  /// The next tokens (n) uint32, from 1 to `most`; empty if it has no guess. `sampler` is what
  /// chooses the token behind the text next, told of `previous`; its copy draws alike.
  virtual mx::array draft(
      Text text, int most, const Sampler& sampler, const mx::array& previous) = 0;
  /// Hears how many of the tokens drafted last the model would have chosen, too.
  virtual void learn(int /* drafted */, int /* accepted */) {}
};
