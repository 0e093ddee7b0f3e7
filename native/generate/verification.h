#pragma once

#include <cstdint>
#include <vector>

#include "generate/sampler.h"

/// The drafts that were right, and the token that was chosen behind them.
struct Verdict {
  std::vector<uint32_t> tokens;
  std::vector<Sample> samples;  // of the tokens
  int drafted;

  int accepted() const { return static_cast<int>(tokens.size()) - 1; }
};

/// Chooses from logits (n + 1, vocab) the tokens behind `previous` and behind each draft (n), as
/// far as these are what is chosen. Each choice is the very one that would be made without drafts,
/// with the same random numbers: so the text of a seed, and with it the distribution, is the same.
/// A draft of probability p is accepted with p, as rejection sampling would accept it.
Verdict verify(
    Sampler& sampler, const mx::array& logits, const mx::array& previous, const mx::array& drafts);
