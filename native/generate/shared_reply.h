#pragma once

#include <memory>
#include <utility>

#include "generate/reply.h"

/// A reply of a model that processes share. All of them take its steps together: whatever one of
/// them decides on its own, such as the next token or a cancellation, it tells the others.
class SharedReply {
 public:
  SharedReply(std::shared_ptr<const Model> model, std::shared_ptr<Reply> reply)
      : model_(std::move(model)), reply_(std::move(reply)) {}

  /// Reads a chunk of the prompt, or takes a token further; false after the last step.
  bool step();

 private:
  bool step_or_throw();
  void begin();
  bool prefill();
  bool decode();
  /// Queues the graph of the next token before the one before it is read.
  void forward(Timeline& timeline);
  bool end(const char* finish_reason);

  const std::shared_ptr<const Model> model_;
  const std::shared_ptr<Reply> reply_;
  bool has_begun_ = false;
  int prefill_step_size_ = 0;  // of the first process: each has memory of its own
  mx::array cancelled_;        // uint32, in how many processes, as told with the last token
};
