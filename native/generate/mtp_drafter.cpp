#include "generate/mtp_drafter.h"

#include <algorithm>

#include "mlx/ops.h"

using mx::array;

namespace {

// Where nothing is drafted, so many are read at once.
constexpr int chunk = 256;

array last_row(const array& a) { return mx::slice(a, 0, a.dim(0) - 1, a.dim(0)); }

}  // namespace

MtpDrafter::MtpDrafter(std::shared_ptr<const MtpHead> head, int tokens)
    : head_(std::move(head)), most_(tokens), cache_(head_->make_cache()) {}

void MtpDrafter::hear(const array& hidden, const array& following, size_t length) {
  hidden_.push_back(hidden);
  following_.push_back(following);
  unread_ += following.dim(0);
  length_ = length;
  if (unread_ < chunk) return;
  // What is behind the last of them will be asked for.
  gather();
  const int rest = unread_ - 1;
  (*head_)(mx::slice(hidden_[0], 0, 0, rest), mx::slice(following_[0], 0, 0, rest), cache_);
  mx::eval(cache_.arrays());
  // A slice would keep the whole alive.
  const array last = row_indices({rest});
  hidden_[0] = mx::take(hidden_[0], last, 0);
  following_[0] = mx::take(following_[0], last, 0);
  unread_ = 1;
}

array MtpDrafter::draft(Text text, int most, const Sampler& sampler, const array& previous) {
  if (length_ != text.size()) return {};
  gather();
  array hidden = last_row((*head_)(hidden_[0], following_[0], cache_));
  hidden_.clear();
  following_.clear();
  unread_ = 0;
  length_ = 0;
  // What it guesses of is its own thoughts, until it hears the model's.
  cache_.mark();
  Sampler own = sampler;
  std::vector<array> tokens{own(head_->logits(hidden), previous).token};
  for (int i = 1; i < std::min(count_, most); i++) {
    hidden = (*head_)(hidden, tokens.back(), cache_);
    tokens.push_back(own(head_->logits(hidden), tokens.back()).token);
  }
  cache_.return_to_mark();
  return mx::concatenate(tokens, 0);
}

void MtpDrafter::learn(int drafted, int accepted) {
  count_ = accepted == drafted ? std::min(drafted + 1, most_) : std::max(1, accepted);
}

/// Makes one array of all that is unread.
void MtpDrafter::gather() {
  if (hidden_.size() < 2) return;
  hidden_ = {mx::concatenate(hidden_, 0)};
  following_ = {mx::concatenate(following_, 0)};
}
