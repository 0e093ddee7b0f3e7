#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "generate/batch.h"

/// Decides what the replies of a model do next: newcomers wait for their turn, read their prompts,
/// and join a batch. A step is at most a chunk of prompts and a token of each batch, so that no
/// running reply ever waits for more than a chunk.
class Scheduler {
 public:
  explicit Scheduler(std::shared_ptr<const Model> model)
      : model_(std::move(model)), prefixes_(model_) {}

  /// What is remembered of texts that replies have read.
  PrefixCache& prefixes() { return prefixes_; }

  /// Lets a reply wait for its turn. Those of higher priority come before others, but at most a
  /// fixed number of later ones for each degree, so that nobody waits for ever.
  void add(std::shared_ptr<Reply> reply);
  /// False when there is nothing to do: nobody is left, or all are paused.
  bool step();
  /// Whether steps are due; set by who sees to them.
  bool is_awake = false;
  /// Ends all replies at their next step. Called from any thread.
  void cancel() { cancelled_ = true; }

 private:
  struct Waiting {
    std::shared_ptr<Reply> reply;
    int64_t turn;  // the lowest comes first
  };

  void step_or_throw();
  /// Lets prompts begin to be read, while so many other replies are ready to decode.
  void start_waiting(size_t ready);
  void prefill();
  void resume();
  void decode();
  void join(const Batch::Replies& replies);
  Batch* batch_for(const Reply& reply);
  size_t running() const;
  Batch::Replies everyone() const;
  void leave_all();

  const std::shared_ptr<const Model> model_;
  PrefixCache prefixes_;
  std::atomic<bool> cancelled_ = false;
  int64_t arrivals_ = 0;
  std::vector<Waiting> waiting_;                   // in the order of their turns
  std::deque<std::shared_ptr<Reply>> prefilling_;  // take turns, a chunk each
  Batch::Replies paused_;
  std::vector<std::unique_ptr<Batch>> batches_;  // one for each way to pack caches
};
