#include "generate/batch.h"

#include <algorithm>
#include <chrono>
#include <span>

#include "mlx/memory.h"

using mx::array;

namespace {

// MLX keeps freed buffers for reuse, and decoding frees a new size whenever the cache grows.
constexpr int steps_between_cache_clears = 256;

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  const auto time = std::chrono::steady_clock::now() - begin;
  return std::chrono::duration<double, std::milli>(time).count();
}

/// A row of (B) or (B, …).
array one_row(const array& a, size_t row) {
  const int start = static_cast<int>(row);
  return a.dim(0) == 1 ? a : mx::slice(a, 0, start, start + 1);
}

}  // namespace

Batch::Replies Batch::replies() const {
  Replies replies;
  for (const Row& row : rows_) replies.push_back(row.reply);
  return replies;
}

void Batch::join(const Replies& replies) {
  std::vector<Timeline> timelines;
  for (const auto& reply : replies) timelines.push_back(reply->take_timeline());
  std::vector<array> tokens;
  std::vector<Cache*> caches;
  if (!rows_.empty()) tokens.push_back(tokens_);
  for (Timeline& timeline : timelines) {
    tokens.push_back(timeline.token);
    caches.push_back(&timeline.cache);
  }
  std::span<Cache* const> joining = caches;
  if (rows_.empty()) {
    cache_ = std::move(*joining.front());
    joining = joining.subspan(1);
  }
  if (!joining.empty()) cache_.join(joining);
  tokens_ = tokens.size() == 1 ? tokens[0] : mx::concatenate(tokens, 0);
  for (size_t i = 0; i < replies.size(); i++) {
    rows_.push_back({replies[i], std::move(timelines[i].unread)});
  }
}

Batch::Replies Batch::step() {
  const Replies all = replies();
  try {
    return step_or_throw();
  } catch (...) {
    const EngineError error = current_engine_error();
    for (const auto& reply : all) reply->fail(error);
    keep_rows({});
    return {};
  }
}

Batch::Replies Batch::step_or_throw() {
  const std::vector<Row> rows = rows_;
  const array tokens = tokens_;
  Replies leaving;
  std::vector<int> going_on;
  std::vector<Row> to_read = rows;
  for (size_t i = 0; i < rows.size(); i++) {
    const auto& [reply, unread] = rows[i];
    const bool is_last = unread && reply->is_at_last();
    const bool leaves = reply->is_paused() || reply->wanted_quantization() != quantization_;
    if (reply->is_cancelled() || is_last) remember(i);
    if (reply->is_cancelled()) {
      reply->end("cancelled");
      to_read[i].unread.reset();
    } else if (leaves && !is_last) {
      const int place = static_cast<int>(i);
      reply->put_timeline({cache_.copy_rows({place}), one_row(tokens, i), unread});
      leaving.push_back(reply);
      to_read[i].unread.reset();
    } else if (!is_last) {
      going_on.push_back(static_cast<int>(i));
    }
  }
  keep_rows(going_on);
  if (!rows_.empty()) forward();
  deliver(to_read, tokens);
  if (steps_++ % steps_between_cache_clears == 0) mx::clear_cache();
  return leaving;
}

/// Remembers the text of a row, which is all that its cache holds.
void Batch::remember(size_t place) {
  const Reply& reply = *rows_[place].reply;
  if (!reply.uses_prefixes()) return;
  const PrefixCache::Source source{cache_, static_cast<int>(place), quantization_};
  prefixes_.insert(reply.cached_text(), source, PrefixCache::Beyond::keep);
}

void Batch::keep_rows(const std::vector<int>& places) {
  if (places.size() == rows_.size() && !places.empty()) return;
  if (places.empty()) {
    // What is queued may still be computing; nothing of it may outlive the cache.
    mx::synchronize();
    rows_.clear();
    cache_ = Cache();
    tokens_ = array();
    return;
  }
  std::vector<Row> kept;
  for (const int place : places) kept.push_back(std::move(rows_[static_cast<size_t>(place)]));
  rows_ = std::move(kept);
  cache_.keep_rows(places);
  tokens_ = mx::take(tokens_, row_indices(places), 0);
}

void Batch::forward() {
  const auto begin = std::chrono::steady_clock::now();
  const int size = static_cast<int>(rows_.size());
  const array logits = model_->logits((*model_)(mx::reshape(tokens_, {size, 1}), cache_));
  std::vector<Sample> samples = choose(logits);
  const double graph_ms = milliseconds_since(begin) / size;
  std::vector<array> queued{tokens_};
  for (size_t i = 0; i < rows_.size(); i++) {
    Row& row = rows_[i];
    row.reply->count_appended();
    if (row.unread) row.reply->add_graph_ms(graph_ms);
    for (const array& a : samples[i].arrays()) queued.push_back(a);
    row.unread = std::move(samples[i]);
  }
  mx::async_eval(queued);
}

/// Chooses a token for each row from logits (B, vocab).
std::vector<Sample> Batch::choose(const array& logits) {
  std::vector<Sample> samples(rows_.size());
  const bool all_greedy =
      std::ranges::all_of(rows_, [](const Row& row) { return row.reply->is_plainly_greedy(); });
  if (all_greedy) {
    tokens_ = mx::argmax(logits, -1);
    return samples;
  }
  std::vector<array> tokens;
  for (size_t i = 0; i < rows_.size(); i++) {
    const auto& [reply, unread] = rows_[i];
    samples[i] = reply->sample(one_row(logits, i), unread ? one_row(tokens_, i) : array());
    tokens.push_back(std::exchange(samples[i].token, array()));
  }
  tokens_ = tokens.size() == 1 ? tokens[0] : mx::concatenate(tokens, 0);
  return samples;
}

/// Hands the unread tokens of rows (B) to their readers.
void Batch::deliver(const std::vector<Row>& rows, const array& tokens) {
  if (std::ranges::none_of(rows, [](const Row& row) { return row.unread.has_value(); })) return;
  const std::vector<uint32_t> values = mx::to_uint32s(tokens);
  for (size_t i = 0; i < rows.size(); i++) {
    const auto& [reply, unread] = rows[i];
    if (!unread) continue;
    const bool is_last = reply->is_at_last();
    if (!reply->deliver(values[i], *unread)) {
      reply->end("stop");
    } else if (is_last) {
      reply->end("length");
    }
  }
  std::vector<int> going_on;
  for (size_t i = 0; i < rows_.size(); i++) {
    if (rows_[i].reply->has_ended()) {
      remember(i);
    } else {
      going_on.push_back(static_cast<int>(i));
    }
  }
  keep_rows(going_on);
}
