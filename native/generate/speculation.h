#pragma once

#include <memory>
#include <optional>

#include "generate/drafter.h"
#include "generate/prompt_lookup.h"
#include "models/model.h"

struct SpeculationOptions {
  std::optional<PromptLookupOptions> prompt_lookup;
  /// Drafts in the place of the prompt.
  std::shared_ptr<const Model> draft_model;
  int num_draft_tokens = 3;  // of the draft model
  /// Whether to go on drafting where it takes more time than it saves.
  bool always = false;
};

/// Whether drafts pay, told by what steps took: in a balance of plain steps, of which every one
/// earns a little, and which drafts must not overdraw. So a text that repeats nothing loses about a
/// hundredth of its speed, and is tried again now and then.
class DraftBalance {
 public:
  bool allows() const { return plain_ms_ > 0 && balance_ > 0; }
  void count_plain(double milliseconds);
  /// Counts a step with drafts, or the way there and back.
  void count(double milliseconds, int tokens);

 private:
  double balance_ = 1.5;
  double plain_ms_ = 0;  // of a step without drafts, most of them lately
};

/// Drafts for one reply: the model reads several tokens at once, and keeps those that it would have
/// chosen itself.
class Speculation {
 public:
  /// Nothing if nothing is asked for.
  static std::unique_ptr<Speculation> of(const SpeculationOptions& options, int vocab_size);

  Speculation(std::unique_ptr<Drafter> drafter, bool always)
      : drafter_(std::move(drafter)), always_(always) {}

  /// Whether to try drafts behind a text, of which the last chosen token may be missing.
  bool is_due(Text text) { return (always_ || balance_.allows()) && drafter_->is_ready(text); }
  Drafter& drafter() { return *drafter_; }
  DraftBalance& balance() { return balance_; }

 private:
  std::unique_ptr<Drafter> drafter_;
  bool always_;
  DraftBalance balance_;
};
