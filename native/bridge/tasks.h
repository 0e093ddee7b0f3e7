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

#include "bridge/call_task.h"
#include "bridge/values.h"
#include "generate/generation.h"
#include "mlx/stream.h"

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
