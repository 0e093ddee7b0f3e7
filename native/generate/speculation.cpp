#include "generate/speculation.h"

#include <algorithm>

#include "generate/draft_model.h"
#include "generate/mtp_drafter.h"

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

std::unique_ptr<Speculation> Speculation::of(
    const SpeculationOptions& options, const Model& model) {
  auto speculation = std::make_unique<Speculation>();
  const auto add = [&](std::unique_ptr<Drafter> drafter, bool always) {
    speculation->drafting_.push_back({std::move(drafter), always});
  };
  const int tokens = options.num_draft_tokens;
  if (options.draft_model) {
    add(std::make_unique<DraftModel>(options.draft_model, model.vocab_size(), tokens), true);
    return speculation;
  }
  // What repeats itself is guessed further than any head can.
  if (const auto& lookup = options.prompt_lookup) {
    add(std::make_unique<PromptLookup>(*lookup), lookup->always);
  }
  if (options.mtp && model.mtp_head()) {
    add(std::make_unique<MtpDrafter>(model.mtp_head(), tokens), options.mtp->always);
  }
  return speculation->drafting_.empty() ? nullptr : std::move(speculation);
}

void Speculation::hear(const mx::array& hidden, const mx::array& following, size_t length) {
  for (const Drafting& each : drafting_) each.drafter->hear(hidden, following, length);
}

Drafting* Speculation::due(Text text) {
  const auto is_due = [&](const Drafting& each) {
    return (each.always || each.balance.allows()) && each.drafter->is_ready(text);
  };
  const auto found = std::ranges::find_if(drafting_, is_due);
  if (found == drafting_.end()) return nullptr;
  return last_ = &*found;
}

void Speculation::count_plain(double milliseconds) {
  for (Drafting& each : drafting_) each.balance.count_plain(milliseconds);
}

void Speculation::count(double milliseconds, int tokens) {
  if (last_) last_->balance.count(milliseconds, tokens);
}
