#include "generate/verification.h"

#include <algorithm>

using mx::array;

namespace {

struct Choices {
  array tokens;                     // (n + 1)
  std::vector<Sample> samples;      // but for their tokens
  std::vector<SamplerState> after;  // each
};

array one(const array& a, int index) { return mx::slice(a, 0, index, index + 1); }

Choices choose(Sampler& sampler, const array& logits, const array& previous, const array& drafts) {
  const auto count = static_cast<size_t>(logits.dim(0));
  if (sampler.is_plainly_greedy()) {
    const std::vector<SamplerState> after(count, sampler.state());
    return {mx::argmax(logits, -1), std::vector<Sample>(count), after};
  }
  Choices choices;
  std::vector<array> tokens;
  for (int i = 0; i < logits.dim(0); i++) {
    Sample sample = sampler(one(logits, i), i == 0 ? previous : one(drafts, i - 1));
    tokens.push_back(std::exchange(sample.token, array()));
    choices.samples.push_back(std::move(sample));
    choices.after.push_back(sampler.state());
  }
  choices.tokens = mx::concatenate(tokens, 0);
  return choices;
}

}  // namespace

Verdict verify(Sampler& sampler, const array& logits, const array& previous, const array& drafts) {
  Choices choices = choose(sampler, logits, previous, drafts);
  std::vector<array> queued{choices.tokens, drafts};
  for (const Sample& sample : choices.samples) {
    for (const array& a : sample.arrays()) queued.push_back(a);
  }
  mx::eval(queued);
  std::vector<uint32_t> tokens = mx::to_uint32s(choices.tokens);
  const std::vector<uint32_t> guessed = mx::to_uint32s(drafts);
  const auto differ = std::ranges::mismatch(guessed, tokens).in1;
  const auto accepted = static_cast<size_t>(differ - guessed.begin());
  sampler.set_state(choices.after[accepted]);
  tokens.resize(accepted + 1);
  choices.samples.resize(accepted + 1);
  return {std::move(tokens), std::move(choices.samples), drafts.dim(0)};
}
