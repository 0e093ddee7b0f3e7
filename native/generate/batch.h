#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "generate/reply.h"

/// Replies that decode together: one forward pass appends a token to each. The graph of a token is
/// queued before the token before it is read, so that the device never waits for the host. A reply
/// that is alone may have drafts, which one pass appends together with its token.
class Batch {
 public:
  using Replies = std::vector<std::shared_ptr<Reply>>;

  /// For replies such as this one; what they leave behind is remembered in `prefixes`.
  Batch(std::shared_ptr<const Model> model, const Reply& reply, PrefixCache& prefixes)
      : model_(std::move(model)),
        quantization_(reply.wanted_quantization()),
        is_solo_(reply.is_solo()),
        prefixes_(prefixes) {}

  /// Whether a reply may join: its cache is packed as those of the others.
  bool suits(const Reply& reply) const {
    return !is_solo_ && !reply.is_solo() && reply.wanted_quantization() == quantization_;
  }
  size_t size() const { return rows_.size(); }
  Replies replies() const;

  /// Takes prefilled replies in, between two steps.
  void join(const Replies& replies);
  /// Takes a token further. Those that have ended are told so and leave; those that are paused, or
  /// whose cache wants to be packed otherwise, leave and are given back. An error ends all.
  Replies step();

 private:
  struct Row {
    std::shared_ptr<Reply> reply;
    std::optional<Sample> unread;  // the choice of the token to append
  };

  Replies step_or_throw();
  void remember(size_t place);
  Replies step_plainly();
  bool leaves(const Reply& reply) const;
  Drafting* due_drafts() const;
  bool try_drafts(Drafter& drafter);
  Verdict append_with(const mx::array& drafts, const mx::array& previous);
  void deliver(const Verdict& verdict);
  void cut(const Verdict& verdict);
  void append_unfed();
  mx::array inputs(const mx::array& drafts) const;
  void keep_rows(const std::vector<int>& places);
  void forward();
  bool all_draw_alike() const;
  void choose();
  std::vector<Sample> sample();
  void count_graph_time(std::chrono::steady_clock::time_point begin);
  void deliver(const std::vector<Row>& rows, const mx::array& tokens);

  const std::shared_ptr<const Model> model_;
  const std::optional<KVQuantization> quantization_;
  const bool is_solo_;
  PrefixCache& prefixes_;
  std::vector<Row> rows_;
  Cache cache_;
  mx::array tokens_;  // (B) uint32, what each row appends next
  mx::array hidden_;  // of a row alone: (1, D), what its logits were made of
  mx::array logits_;  // (B, vocab) behind what was appended, until what comes next is chosen
  // Chosen before those, but not in the cache: a single row's that had drafts rejected and a state
  // that cannot be cut.
  std::vector<uint32_t> unfed_;
  int steps_ = 0;
};
