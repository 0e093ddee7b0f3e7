#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "generate/drafter.h"
#include "generate/prompt_lookup.h"
#include "models/model.h"

/// Of a model's own head for multi-token prediction.
struct MtpOptions {
  bool always = false;  // draft even where it takes more time than it saves
};

struct SpeculationOptions {
  std::optional<PromptLookupOptions> prompt_lookup;
  std::optional<MtpOptions> mtp;
  /// Drafts in the place of the prompt and of the model's own head.
  std::shared_ptr<const Model> draft_model;
  int num_draft_tokens = 3;  // of the draft model, or at most of the head
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

/// One who drafts for a reply.
struct Drafting {
  std::unique_ptr<Drafter> drafter;
  bool always;  // whether or not it pays
  DraftBalance balance = {};
};

/// Drafts for one reply: the model reads several tokens at once, and keeps those that it would have
/// chosen itself.
class Speculation {
 public:
  /// Nothing if nobody is asked to draft, or can.
  static std::unique_ptr<Speculation> of(const SpeculationOptions& options, const Model& model);

  /// Tells all what the model thought; see `Drafter::hear`.
  void hear(const mx::array& hidden, const mx::array& following, size_t length);
  /// Who is to draft behind a text, of which the last chosen token may be missing: the first who is
  /// ready and whose drafts pay. Nothing if nobody.
  Drafting* due(Text text);
  /// Counts the time of a step: without drafts, where the steps around it were such, too; or with
  /// those that were due last, or the way there and back, and the tokens that came of it.
  void count_plain(double milliseconds);
  void count(double milliseconds, int tokens);

 private:
  std::vector<Drafting> drafting_;
  Drafting* last_ = nullptr;  // who was due
};
