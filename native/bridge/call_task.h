#pragma once

#include <napi.h>

#include <memory>
#include <utility>

#include "bridge/addon.h"
#include "bridge/values.h"
#include "mlx/stream.h"

/// A task that settles a call; an exception of `advance` rejects it.
class CallTask : public Task, public std::enable_shared_from_this<CallTask> {
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

 protected:
  /// As `step`, but may throw.
  virtual bool advance() = 0;

  Addon& addon_;
  const CallId id_;
};
