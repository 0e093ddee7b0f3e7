#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "generate/drafter.h"

struct PromptLookupOptions {
  int min_ngram = 3;    // tokens that must have come before
  int tokens = 16;      // drafted at most
  bool always = false;  // draft even where it takes more time than it saves
};

/// Guesses that a text repeats itself: looks for the place where its last tokens came before, the
/// longest match first and of those the latest, and drafts what followed there.
class PromptLookup : public Drafter {
 public:
  explicit PromptLookup(const PromptLookupOptions& options);

  bool is_ready(Text text) override { return find(text) > 0; }
  mx::array draft(Text text, int most, const Sampler& sampler, const mx::array& previous) override;
  void learn(int drafted, int accepted) override;

 private:
  void index(Text text);
  /// The place behind the best match, 0 if there is none.
  size_t find(Text text);
  uint64_t ngram_before(Text text, size_t end) const;

  const size_t min_ngram_;
  const int most_;
  int length_;  // of the next draft
  // By the hash of an n-gram the place behind it that came last; by that place the one before it.
  std::unordered_map<uint64_t, size_t> last_;
  std::vector<size_t> earlier_;
  size_t indexed_ = 0;
};
