#pragma once

#include <napi.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bridge/addon.h"
#include "bridge/values.h"
#include "generate/generation.h"
#include "mlx/memory.h"
#include "mlx/stream.h"
#include "weights.h"

/// A task that settles a call; an exception of `advance` rejects it.
class CallTask : public Task {
 public:
  CallTask(Addon& addon, CallId id) : addon_(addon), id_(id) {}

  bool step() final {
    try {
      mx::open_thread_stream();
      return advance();
    } catch (...) {
      fail(current_error());
    }
    return false;
  }

 protected:
  /// As `step`, but may throw.
  virtual bool advance() = 0;

  /// Resolves the call with what `make` builds on the JavaScript thread.
  template <typename Make>
  void succeed(Make make) {
    addon_.post([id = id_, make = std::move(make)](Napi::Env env, Addon& addon) {
      const Napi::HandleScope scope(env);
      try {
        addon.resolve(id, make(env));
      } catch (const Napi::Error& error) {
        addon.reject(id, error.Value());
      }
    });
  }

  void fail(const EngineError& error) {
    addon_.post([id = id_, error](Napi::Env env, Addon& addon) {
      const Napi::HandleScope scope(env);
      addon.reject(id, to_js_error(env, error).Value());
    });
  }

  Addon& addon_;
  const CallId id_;
};

/// Reads the weights a group at a time, so that running generations go on and a stop is quick.
class LoadTask : public CallTask {
 public:
  using Flag = std::shared_ptr<std::atomic<bool>>;

  LoadTask(Addon& addon, CallId id, Config config, std::vector<std::string> files, Flag cancelled)
      : CallTask(addon, id),
        config_(std::move(config)),
        files_(std::move(files)),
        cancelled_(std::move(cancelled)) {}

  void cancel() override { *cancelled_ = true; }

 protected:
  bool advance() override {
    if (*cancelled_) throw EngineError("cancelled", "loading was cancelled");
    if (!model_) {
      Weights weights(config_, files_);
      model_ = make_model(config_, weights);
      weights.finish();
      for (const auto& [name, tensor] : weights.taken()) {
        unread_.push_back(tensor);
        bytes_ += tensor.nbytes();
      }
      return true;
    }
    if (!unread_.empty()) {
      read_group();
      return true;
    }
    wire();
    auto state = std::make_shared<ModelState>();
    state->vocab_size = model_->vocab_size();
    state->model = std::move(model_);
    state->bytes = bytes_;
    addon_.thread()->track(state);
    succeed([state, &addon = addon_](Napi::Env env) {
      return addon.model_class.New({to_external(env, state)});
    });
    return false;
  }

 private:
  /// A model runs without wired memory, too, only slower when memory is short.
  void wire() {
    const auto limit = mx::wired_limit_for(bytes_, mx::default_device());
    if (!limit) return;
    try {
      mx::set_wired_limit(*limit);
    } catch (const EngineError&) {
    }
  }

  void read_group() {
    constexpr size_t group_bytes = 256 << 20;
    size_t bytes = 0;
    std::vector<mx::array> group;
    while (!unread_.empty() && bytes < group_bytes) {
      bytes += unread_.back().nbytes();
      group.push_back(std::move(unread_.back()));
      unread_.pop_back();
    }
    mx::eval(group);
  }

  const Config config_;
  const std::vector<std::string> files_;
  const Flag cancelled_;
  std::unique_ptr<Model> model_;
  std::vector<mx::array> unread_;
  size_t bytes_ = 0;
};

/// Collects tokens until the JavaScript thread comes for them, so that a busy one gets batches.
class TokenOutbox : public std::enable_shared_from_this<TokenOutbox> {
 public:
  TokenOutbox(
      Addon& addon, CallId id, std::shared_ptr<SessionState> session, SamplingOptions sampling)
      : addon_(addon), id_(id), session_(std::move(session)), sampling_(std::move(sampling)) {}

  void push(TokenEvent event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    if (events_.size() > 1) return;  // a message is on its way
    addon_.post([self = shared_from_this()](Napi::Env env, Addon&) { self->flush(env); });
  }

 private:
  void flush(Napi::Env env) {
    std::vector<TokenEvent> events;
    {
      const std::lock_guard lock(mutex_);
      events.swap(events_);
    }
    const Napi::HandleScope scope(env);
    const Napi::Function on_tokens = addon_.on_tokens(id_);
    if (on_tokens.IsEmpty()) return;
    try {
      on_tokens.Call({to_js(env, events, sampling_)});
    } catch (const Napi::Error& error) {
      session_->cancelled = true;
      addon_.reject(id_, error.Value());
    }
  }

  Addon& addon_;
  const CallId id_;
  const std::shared_ptr<SessionState> session_;
  const SamplingOptions sampling_;
  std::mutex mutex_;
  std::vector<TokenEvent> events_;
};

/// Checks that the session is open, and gives it a cache at its first use.
inline void open_cache(SessionState& session) {
  if (!session.model) throw EngineError("closed", "the session is closed");
  if (!session.cache) session.cache = std::make_shared<Cache>(session.model->make_cache());
}

class GenerateTask : public CallTask {
 public:
  GenerateTask(
      Addon& addon, CallId id, std::shared_ptr<SessionState> session, std::vector<uint32_t> tokens,
      GenerationOptions options)
      : CallTask(addon, id),
        session_(std::move(session)),
        tokens_(std::move(tokens)),
        options_(std::move(options)) {}

  void cancel() override { session_->cancelled = true; }

 protected:
  bool advance() override {
    if (!generation_) {
      open_cache(*session_);
      auto outbox = std::make_shared<TokenOutbox>(addon_, id_, session_, options_.sampling);
      generation_.emplace(
          session_->model, session_->cache, std::move(tokens_), std::move(options_),
          session_->cancelled, [outbox](TokenEvent event) { outbox->push(std::move(event)); });
    }
    if (generation_->step()) return true;
    succeed([stats = generation_->stats()](Napi::Env env) { return to_js(env, stats); });
    return false;
  }

 private:
  std::shared_ptr<SessionState> session_;
  std::vector<uint32_t> tokens_;
  GenerationOptions options_;
  std::optional<Generation> generation_;
};

class LogitsTask : public CallTask {
 public:
  LogitsTask(
      Addon& addon, CallId id, std::shared_ptr<SessionState> session, std::vector<uint32_t> tokens)
      : CallTask(addon, id), session_(std::move(session)), tokens_(std::move(tokens)) {}

  void cancel() override { session_->cancelled = true; }

 protected:
  bool advance() override {
    if (session_->cancelled) throw EngineError("cancelled", "the session was cancelled");
    open_cache(*session_);
    succeed([values = all_logits(*session_->model, *session_->cache, tokens_)](Napi::Env env) {
      auto array = Napi::Float32Array::New(env, values.size());
      std::ranges::copy(values, array.Data());
      return array;
    });
    return false;
  }

 private:
  std::shared_ptr<SessionState> session_;
  std::vector<uint32_t> tokens_;
};
