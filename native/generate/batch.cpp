#include "generate/batch.h"

#include <algorithm>
#include <chrono>
#include <span>

#include "generate/milliseconds.h"
#include "mlx/memory.h"

using mx::array;

namespace {

// MLX keeps freed buffers for reuse, and decoding frees a new size whenever the cache grows.
constexpr int steps_between_cache_clears = 256;

/// A row of (B) or (B, …).
array one_row(const array& a, size_t row) {
  const int start = static_cast<int>(row);
  return a.dim(0) == 1 ? a : mx::slice(a, 0, start, start + 1);
}

/// Hands a token to its reader, and ends the reply if that was the last.
void deliver_to(Reply& reply, uint32_t token, const Sample& sample) {
  if (const char* reason = reply.deliver(token, sample)) reply.end(reason);
}

}  // namespace

Batch::Replies Batch::replies() const {
  Replies replies;
  for (const Row& row : rows_) replies.push_back(row.reply);
  return replies;
}

void Batch::join(const Replies& replies) {
  append_unfed();
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
    Replies leaving = step_or_throw();
    if (steps_++ % steps_between_cache_clears == 0) mx::clear_cache();
    return leaving;
  } catch (...) {
    const EngineError error = current_engine_error();
    for (const auto& reply : all) reply->fail(error);
    keep_rows({});
    return {};
  }
}

Batch::Replies Batch::step_or_throw() {
  if (rows_.size() != 1 || !rows_[0].reply->speculation()) return step_plainly();
  const auto begin = std::chrono::steady_clock::now();
  const std::shared_ptr<Reply> reply = rows_[0].reply;
  const int delivered = reply->delivered();
  const Drafting* drafting = due_drafts();
  const bool is_steady = rows_[0].unread.has_value() && !drafting;
  Replies leaving;
  if (!drafting || !try_drafts(*drafting->drafter)) leaving = step_plainly();
  const double time = milliseconds_since(begin);
  if (is_steady) {
    reply->speculation()->count_plain(time);
  } else {
    reply->speculation()->count(time, reply->delivered() - delivered);
  }
  return leaving;
}

Batch::Replies Batch::step_plainly() {
  const std::vector<Row> rows = rows_;
  const array tokens = tokens_;
  Replies leaving;
  std::vector<int> going_on;
  std::vector<Row> to_read = rows;
  for (size_t i = 0; i < rows.size(); i++) {
    const auto& [reply, unread] = rows[i];
    const bool is_last = unread && reply->is_at_last();
    if (reply->is_cancelled() || is_last) remember(i);
    if (reply->is_cancelled()) {
      reply->end("cancelled");
      to_read[i].unread.reset();
    } else if (leaves(*reply) && !is_last) {
      append_unfed();
      const int place = static_cast<int>(i);
      reply->put_timeline({cache_.copy_rows({place}), one_row(tokens, i), unread});
      leaving.push_back(reply);
      to_read[i].unread.reset();
    } else if (!is_last) {
      going_on.push_back(static_cast<int>(i));
    }
  }
  keep_rows(going_on);
  const bool waits =
      std::ranges::any_of(rows_, [](const Row& row) { return row.reply->is_constrained(); });
  if (!rows_.empty()) forward();
  if (waits) {
    // A grammar works out what may come next while the device computes.
    mx::async_eval(std::span(&logits_, 1));
    deliver(to_read, tokens);
  }
  if (!rows_.empty()) choose();
  if (!waits) deliver(to_read, tokens);
  return leaving;
}

/// Remembers the text of a row, which is all that its cache holds.
void Batch::remember(size_t place) {
  const Reply& reply = *rows_[place].reply;
  if (!reply.uses_prefixes() || !reply.knows_cached_text()) return;
  const PrefixCache::Source source{cache_, static_cast<int>(place), quantization_};
  prefixes_.insert(reply.cached_text(), source, PrefixCache::Beyond::keep);
}

bool Batch::leaves(const Reply& reply) const {
  return reply.is_paused() || reply.wanted_quantization() != quantization_;
}

void Batch::keep_rows(const std::vector<int>& places) {
  if (places.size() == rows_.size() && !places.empty()) return;
  if (places.empty()) {
    // What is queued may still be computing; nothing of it may outlive the cache.
    mx::synchronize();
    rows_.clear();
    cache_ = Cache();
    tokens_ = array();
    hidden_ = array();
    logits_ = array();
    unfed_.clear();
    return;
  }
  std::vector<Row> kept;
  for (const int place : places) kept.push_back(std::move(rows_[static_cast<size_t>(place)]));
  rows_ = std::move(kept);
  cache_.keep_rows(places);
  tokens_ = mx::take(tokens_, row_indices(places), 0);
  hidden_ = array();
  if (logits_) logits_ = mx::take(logits_, row_indices(places), 0);
}

/// Queues the logits of what comes behind the tokens of all rows.
void Batch::forward() {
  const auto begin = std::chrono::steady_clock::now();
  const int size = static_cast<int>(rows_.size());
  const array hidden = (*model_)(inputs({}), cache_);
  const int count = hidden.dim(0);
  const array last = count == size ? hidden : mx::slice(hidden, 0, count - size, count);
  logits_ = model_->logits(last);
  hidden_ = size == 1 ? last : array();
  count_graph_time(begin);
  for (const Row& row : rows_) row.reply->count_appended(count / size);
  unfed_.clear();
}

/// Chooses those that come next, and queues them.
void Batch::choose() {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<Sample> samples = sample();
  logits_ = array();
  count_graph_time(begin);
  std::vector<array> queued{tokens_};
  for (size_t i = 0; i < rows_.size(); i++) {
    for (const array& a : samples[i].arrays()) queued.push_back(a);
    rows_[i].unread = std::move(samples[i]);
  }
  mx::async_eval(queued);
  const array hidden = std::exchange(hidden_, array());
  if (!hidden) return;
  const Reply& reply = *rows_[0].reply;
  if (reply.speculation()) reply.speculation()->hear(hidden, tokens_, reply.cached() + 1);
}

void Batch::count_graph_time(std::chrono::steady_clock::time_point begin) {
  const double each = milliseconds_since(begin) / static_cast<double>(rows_.size());
  for (const auto& [reply, unread] : rows_) {
    if (unread || reply->delivered() > 0) reply->add_graph_ms(each);
  }
}

/// What the next pass appends: (B, 1), or (1, L) of a row alone.
array Batch::inputs(const array& drafts) const {
  if (unfed_.empty() && !drafts) return mx::expand_dims(tokens_, 1);
  std::vector<array> tokens;
  if (!unfed_.empty()) tokens.push_back(mx::from_data(std::span<const uint32_t>(unfed_)));
  tokens.push_back(tokens_);
  if (drafts) tokens.push_back(drafts);
  return mx::expand_dims(mx::concatenate(tokens, 0), 0);
}

void Batch::append_unfed() {
  if (unfed_.empty()) return;
  const array tokens = mx::from_data(std::span<const uint32_t>(unfed_));
  (*model_)(mx::expand_dims(tokens, 0), cache_);
  rows_[0].reply->count_appended(static_cast<int>(unfed_.size()));
  unfed_.clear();
}

Drafting* Batch::due_drafts() const {
  const Reply& reply = *rows_[0].reply;
  if (reply.is_cancelled() || leaves(reply)) return nullptr;
  return reply.speculation()->due(reply.text());
}

/// Takes the only row further by drafts; false if there are none.
bool Batch::try_drafts(Drafter& drafter) {
  // The token under way belongs to the text that is to be continued.
  const std::vector<Row> rows = rows_;
  deliver(rows, tokens_);
  if (rows_.empty()) return true;
  rows_[0].unread.reset();
  const Reply& reply = *rows_[0].reply;
  const int most = reply.room_for_drafts(static_cast<int>(unfed_.size()) + 1);
  if (most < 1) return false;
  const array previous = reply.delivered() > 0 ? tokens_ : array();
  const array drafts = drafter.draft(reply.text(), most, reply.sampler(), previous);
  if (!drafts) return false;
  const Verdict verdict = append_with(drafts, previous);
  drafter.learn(verdict.drafted, verdict.accepted());
  deliver(verdict);
  return true;
}

Verdict Batch::append_with(const array& drafts, const array& previous) {
  const auto begin = std::chrono::steady_clock::now();
  Reply& reply = *rows_[0].reply;
  if (cache_.has_state()) cache_.mark();
  const array hidden = (*model_)(inputs(drafts), cache_);
  const int count = hidden.dim(0);
  const int first = count - drafts.dim(0) - 1;  // before it are those that were unfed
  const array logits = model_->logits(mx::slice(hidden, 0, first, count));
  reply.add_graph_ms(milliseconds_since(begin));
  Verdict verdict = verify(reply.sampler(), logits, previous, drafts);
  reply.count_drafts(verdict);
  cut(verdict);
  const array chosen = mx::from_data(std::span<const uint32_t>(verdict.tokens));
  reply.speculation()->hear(
      mx::slice(hidden, 0, first, first + chosen.dim(0)), chosen,
      reply.text().size() + verdict.tokens.size());
  return verdict;
}

void Batch::deliver(const Verdict& verdict) {
  Reply& reply = *rows_[0].reply;
  tokens_ = mx::from_data(std::span(verdict.tokens).last(1));
  for (size_t i = 0; i < verdict.tokens.size() && !reply.has_ended(); i++) {
    deliver_to(reply, verdict.tokens[i], verdict.samples[i]);
  }
  if (!reply.has_ended()) return;
  remember(0);
  keep_rows({});
}

/// Cuts the drafts that were wrong off the cache.
void Batch::cut(const Verdict& verdict) {
  Reply& reply = *rows_[0].reply;
  std::vector<uint32_t> fed = std::exchange(unfed_, {});
  fed.push_back(reply.text().back());
  const auto accepted = std::span(verdict.tokens).first(verdict.tokens.size() - 1);
  fed.insert(fed.end(), accepted.begin(), accepted.end());
  const int wrong = verdict.drafted - verdict.accepted();
  if (wrong > 0 && cache_.has_state()) {
    cache_.return_to_mark();
    unfed_ = std::move(fed);
    return;
  }
  if (wrong > 0) cache_.trim(wrong);
  reply.count_appended(static_cast<int>(fed.size()));
}

/// Whether one op can filter the logits of all rows.
bool Batch::all_draw_alike() const {
  const Sampler& first = rows_[0].reply->sampler();
  return std::ranges::all_of(rows_, [&](const Row& row) {
    return !row.reply->is_constrained() && row.reply->sampler().draws_like(first);
  });
}

/// Chooses a token for each row from their logits.
std::vector<Sample> Batch::sample() {
  std::vector<Sample> samples(rows_.size());
  const bool all_greedy =
      std::ranges::all_of(rows_, [](const Row& row) { return row.reply->is_plainly_greedy(); });
  if (all_greedy) {
    tokens_ = mx::argmax(logits_, -1);
    return samples;
  }
  if (rows_.size() > 1 && all_draw_alike()) {
    std::vector<Sampler*> samplers;
    for (const Row& row : rows_) samplers.push_back(&row.reply->sampler());
    tokens_ = Sampler::draw_together(samplers, logits_);
    return samples;
  }
  std::vector<array> tokens;
  for (size_t i = 0; i < rows_.size(); i++) {
    const auto& [reply, unread] = rows_[i];
    const bool has_begun = unread || reply->delivered() > 0;
    samples[i] = reply->sample(one_row(logits_, i), has_begun ? one_row(tokens_, i) : array());
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
    deliver_to(*reply, values[i], *unread);
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
