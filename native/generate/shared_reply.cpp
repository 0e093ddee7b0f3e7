#include "generate/shared_reply.h"

#include <chrono>
#include <span>
#include <utility>

#include "generate/milliseconds.h"

using mx::array;

bool SharedReply::step() {
  try {
    return step_or_throw();
  } catch (...) {
    // The other processes would wait for this one.
    mx::leave_group();
    reply_->fail(current_engine_error());
    return false;
  }
}

bool SharedReply::step_or_throw() {
  if (!std::exchange(has_begun_, true)) begin();
  return reply_->is_prefilled() ? decode() : prefill();
}

void SharedReply::begin() {
  const mx::Group& group = model_->group;
  group.agree(reply_->options().digest, "prompts, or other options");
  const auto own_size = static_cast<uint32_t>(reply_->options().prefill_step_size);
  const array size = group.from_first(mx::from_data(std::span(&own_size, 1)));
  prefill_step_size_ = static_cast<int>(size.item_uint32());
  group.check_peers();
  reply_->start();
}

bool SharedReply::prefill() {
  const bool is_cancelled = model_->group.count(reply_->is_cancelled()).item_uint32() > 0;
  model_->group.check_peers();
  if (is_cancelled) return end("cancelled");
  reply_->prefill_chunk(*model_, prefill_step_size_);
  return true;
}

bool SharedReply::decode() {
  reply_->pack_cache();
  Timeline timeline = reply_->take_timeline();
  const array token = timeline.token;
  const array cancelled = cancelled_;
  const std::optional<Sample> unread = timeline.unread;
  const bool is_last = unread && reply_->is_at_last();
  if (!is_last) forward(timeline);
  reply_->put_timeline(std::move(timeline));
  if (!unread) return true;

  const uint32_t value = token.item_uint32();
  const bool is_cancelled = cancelled.item_uint32() > 0;
  model_->group.check_peers();
  if (is_cancelled) return end("cancelled");
  const char* reason = reply_->deliver(value, *unread);
  return reason ? end(reason) : true;
}

void SharedReply::forward(Timeline& timeline) {
  const auto begin = std::chrono::steady_clock::now();
  const array tokens = mx::reshape(timeline.token, {1, 1});
  const array logits = model_->logits((*model_)(tokens, timeline.cache));
  const array previous = timeline.unread ? timeline.token : array();
  Sample sample = reply_->sample(logits, previous);
  // Machines of two kinds do not round alike, and without a seed each draws on its own.
  timeline.token = model_->group.from_first(sample.token);
  cancelled_ = model_->group.count(reply_->is_cancelled());
  std::vector<array> queued = sample.arrays();
  queued.insert(queued.end(), {timeline.token, cancelled_});
  timeline.unread = std::move(sample);
  reply_->count_appended(1);
  if (previous) reply_->add_graph_ms(milliseconds_since(begin));
  mx::async_eval(queued);
}

bool SharedReply::end(const char* finish_reason) {
  // What is queued may still be computing; nothing of it may outlive the cache.
  mx::synchronize();
  reply_->take_timeline();
  // A process that is done may leave, and the others must be done by then.
  model_->group.count(false).item_uint32();
  reply_->end(finish_reason);
  return false;
}
