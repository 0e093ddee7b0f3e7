#include "generate/speculation.h"

#include <algorithm>

#include "generate/draft_model.h"

namespace {

constexpr double earned_by_step = 0.005;
constexpr double most_saved = 4;
// A step may take long for reasons of its own.
constexpr double most_lost_at_once = 2;
constexpr double weight_of_step = 0.1;

}  // namespace

void DraftBalance::count_plain(double milliseconds) {
  plain_ms_ += (milliseconds - plain_ms_) * (plain_ms_ == 0 ? 1 : weight_of_step);
  balance_ = std::min(balance_ + earned_by_step, most_saved);
}

void DraftBalance::count(double milliseconds, int tokens) {
  if (plain_ms_ == 0) return;
  const double won = tokens - milliseconds / plain_ms_;
  balance_ = std::min(balance_ + std::max(won, -most_lost_at_once), most_saved);
}

std::unique_ptr<Speculation> Speculation::of(const SpeculationOptions& options, int vocab_size) {
  if (options.draft_model) {
    return std::make_unique<Speculation>(
        std::make_unique<DraftModel>(options.draft_model, vocab_size, options.num_draft_tokens),
        /* always */ true);
  }
  if (!options.prompt_lookup) return nullptr;
  return std::make_unique<Speculation>(
      std::make_unique<PromptLookup>(*options.prompt_lookup), options.always);
}
