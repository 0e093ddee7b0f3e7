#pragma once

#include <memory>

#include "generate/drafter.h"
#include "models/model.h"

/// A smaller model that guesses what a larger one will choose. It chooses with the sampler of the
/// larger one and with the same random numbers, so that both draw the same token wherever their
/// probabilities are alike: https://arxiv.org/abs/2408.07978
class DraftModel : public Drafter {
 public:
  /// `vocab_size` is that of the larger model, `tokens` how many are drafted at a time.
  DraftModel(std::shared_ptr<const Model> model, int vocab_size, int tokens);

  bool is_ready(Text text) override;
  mx::array draft(Text text, int most, const Sampler& sampler, const mx::array& previous) override;

 private:
  mx::array known(Text text) const;
  mx::array last_logits(const mx::array& tokens);

  const std::shared_ptr<const Model> model_;
  const int vocab_size_;
  const int tokens_;
  Cache cache_;
  size_t read_ = 0;  // tokens of the text that the cache holds
};
