#pragma once

#include <memory>
#include <vector>

#include "generate/drafter.h"
#include "nn/mtp_head.h"

/// Lets a model's own head for multi-token prediction guess, which is applied to its own hidden
/// states for each token after the first, as vLLM and SGLang do. It attends to what it has heard.
class MtpDrafter : public Drafter {
 public:
  /// At most `tokens` are drafted at a time: one more after each time that all were right.
  MtpDrafter(std::shared_ptr<const MtpHead> head, int tokens);

  void hear(const mx::array& hidden, const mx::array& following, size_t length) override;
  bool is_ready(Text text) override { return length_ >= text.size(); }
  mx::array draft(Text text, int most, const Sampler& sampler, const mx::array& previous) override;
  void learn(int drafted, int accepted) override;

 private:
  void gather();

  const std::shared_ptr<const MtpHead> head_;
  const int most_;
  int count_ = 1;  // of the next draft
  Cache cache_;
  // What was heard and is not in the cache: hidden states (n, D) and following tokens (n).
  std::vector<mx::array> hidden_, following_;
  int unread_ = 0;     // tokens of these
  size_t length_ = 0;  // of the text that it has heard of
};
