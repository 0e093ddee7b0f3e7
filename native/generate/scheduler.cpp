#include "generate/scheduler.h"

#include <algorithm>
#include <iterator>

#include "mlx/memory.h"

namespace {

// More rows make each step longer and all together hardly faster.
constexpr size_t most_running = 64;
// A long prompt lets a few others read theirs in between; each takes memory.
constexpr size_t most_prefilling = 4;
// So many later replies one of higher priority may overtake for each degree.
constexpr int64_t turns_per_priority = 16;

/// Whether there is memory for a reply beside what is there; what is only remembered gives way.
bool has_room_for(const Reply& reply, PrefixCache& prefixes) {
  const auto& [cache_bytes, limit] =
      std::pair(reply.options().cache_bytes, reply.options().memory_limit);
  return limit == 0 || prefixes.give_way(cache_bytes, limit);
}

bool ended_by_caller(const std::shared_ptr<Reply>& reply) {
  if (reply->is_cancelled()) reply->end("cancelled");
  return reply->has_ended();
}

}  // namespace

void Scheduler::add(std::shared_ptr<Reply> reply) {
  const int64_t turn = arrivals_++ - reply->options().priority * turns_per_priority;
  const auto place = std::ranges::upper_bound(waiting_, turn, {}, &Waiting::turn);
  waiting_.insert(place, {std::move(reply), turn});
}

bool Scheduler::step() {
  try {
    step_or_throw();
  } catch (...) {
    const EngineError error = current_engine_error();
    for (const auto& reply : everyone()) reply->fail(error);
    leave_all();
  }
  if (!waiting_.empty() || running() > 0) return true;
  // Only when nobody waits for a token.
  return !cancelled_ && prefixes_.store_one();
}

void Scheduler::step_or_throw() {
  if (cancelled_) {
    for (const auto& reply : everyone()) reply->end("cancelled");
    leave_all();
    return;
  }
  resume();
  prefill();
  decode();
}

Batch::Replies Scheduler::everyone() const {
  Batch::Replies all(prefilling_.begin(), prefilling_.end());
  for (const auto& [reply, turn] : waiting_) all.push_back(reply);
  all.insert(all.end(), paused_.begin(), paused_.end());
  for (const auto& batch : batches_) std::ranges::copy(batch->replies(), std::back_inserter(all));
  return all;
}

void Scheduler::leave_all() {
  waiting_.clear();
  prefilling_.clear();
  paused_.clear();
  batches_.clear();
}

size_t Scheduler::running() const {
  size_t rows = prefilling_.size();
  for (const auto& batch : batches_) rows += batch->size();
  return rows;
}

void Scheduler::start_waiting(size_t ready) {
  std::erase_if(waiting_, [](const Waiting& waiting) { return ended_by_caller(waiting.reply); });
  while (!waiting_.empty() && prefilling_.size() < most_prefilling &&
         running() + ready < most_running) {
    // Whoever is alone must try; whoever is not had better wait until others have left.
    const bool has_room = has_room_for(*waiting_.front().reply, prefixes_);
    if (running() + ready > 0 && !has_room) break;
    prefilling_.push_back(std::move(waiting_.front().reply));
    waiting_.erase(waiting_.begin());
    prefilling_.back()->start();
  }
}

void Scheduler::prefill() {
  std::erase_if(prefilling_, ended_by_caller);
  Batch::Replies ready;
  // Short prompts share a chunk: the batch is changed once for all of them.
  int read = 0;
  for (start_waiting(0); !prefilling_.empty(); start_waiting(ready.size())) {
    const std::shared_ptr<Reply> reply = prefilling_.front();
    reply->recall(prefixes_);
    const int step_size = reply->options().prefill_step_size;
    const int length = reply->is_prefilled() ? 0 : reply->chunk_length(step_size);
    if (read > 0 && read + length > step_size) break;
    prefilling_.pop_front();
    read += length;
    try {
      if (length > 0) {
        prefixes_.shrink();
        reply->prefill_chunk(*model_, step_size);
        reply->remember(prefixes_);
      }
      if (reply->is_prefilled()) {
        ready.push_back(reply);
      } else {
        prefilling_.push_back(reply);
      }
    } catch (...) {
      reply->fail(current_engine_error());
    }
  }
  join(ready);
}

void Scheduler::resume() {
  std::erase_if(paused_, ended_by_caller);
  Batch::Replies ready;
  std::erase_if(paused_, [&](const auto& reply) {
    if (!reply->is_paused()) ready.push_back(reply);
    return !reply->is_paused();
  });
  join(ready);
}

void Scheduler::decode() {
  Batch::Replies leaving;
  for (const auto& batch : batches_) std::ranges::copy(batch->step(), std::back_inserter(leaving));
  std::erase_if(batches_, [](const auto& batch) { return batch->size() == 0; });
  Batch::Replies ready;
  for (auto& reply : leaving) (reply->is_paused() ? paused_ : ready).push_back(std::move(reply));
  join(ready);
}

void Scheduler::join(const Batch::Replies& replies) {
  std::vector<std::pair<Batch*, Batch::Replies>> groups;
  for (const auto& reply : replies) {
    try {
      reply->pack_cache();
    } catch (...) {
      reply->fail(current_engine_error());
      continue;
    }
    Batch* batch = batch_for(*reply);
    auto group = std::ranges::find(groups, batch, &decltype(groups)::value_type::first);
    if (group == groups.end()) group = groups.insert(groups.end(), {batch, {}});
    group->second.push_back(reply);
  }
  for (const auto& [batch, members] : groups) batch->join(members);
}

Batch* Scheduler::batch_for(const Reply& reply) {
  for (const auto& batch : batches_) {
    if (batch->suits(reply)) return batch.get();
  }
  return batches_.emplace_back(std::make_unique<Batch>(model_, reply, prefixes_)).get();
}
