#pragma once

#include <napi.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "generate/embedder.h"
#include "generate/scheduler.h"
#include "inference_thread.h"
#include "mlx/memory.h"
#include "models/model.h"

/// What the engine holds for a JavaScript `Model`; the array holders are freed by `release`, which
/// leaves nothing of them in the buffers that MLX keeps for reuse.
struct ModelState : Resource {
  std::shared_ptr<const Model> model;  // none of an encoder
  std::shared_ptr<const Embedder> embedder;
  std::shared_ptr<Scheduler> scheduler;
  std::shared_ptr<const Checkpoint> checkpoint;  // to make models with adapters of
  int vocab_size = 0;
  ImageFormat images;
  int labels = 0;
  size_t bytes = 0;
  bool can_trim = false;
  bool is_encoder = false;

  void release() override {
    model.reset();
    embedder.reset();
    // Sessions that nobody closed keep the scheduler.
    if (scheduler) scheduler->prefixes().close();
    scheduler.reset();
    checkpoint.reset();
    mx::clear_cache();
  }
};

struct SessionState : Resource {
  std::shared_ptr<const Model> model;
  std::shared_ptr<Scheduler> scheduler;
  std::optional<Cache> cache;  // made at the first use, given away to the reply

  void release() override {
    cache.reset();
    scheduler.reset();
    model.reset();
    mx::clear_cache();
  }
};

/// How our own code hands a model to the constructor of a JavaScript class.
Napi::Value to_external(Napi::Env env, std::shared_ptr<ModelState> model);
std::shared_ptr<ModelState> from_external(const Napi::CallbackInfo& info);

class Addon;
using CallId = uint64_t;
using Message = std::function<void(Napi::Env, Addon&)>;

void deliver(Napi::Env env, Napi::Function, Addon* addon, Message* message);
using MessageQueue = Napi::TypedThreadSafeFunction<Addon, Message, deliver>;

/// The state of one JavaScript environment (the process, or a worker).
class Addon {
 public:
  explicit Addon(Napi::Env env);

  const std::shared_ptr<InferenceThread>& thread() const { return thread_; }

  /// Sends a message to the JavaScript thread; dropped when the environment is ending.
  void post(Message message) {
    auto owned = std::make_unique<Message>(std::move(message));
    if (messages_.NonBlockingCall(owned.get()) == napi_ok) owned.release();
  }

  /// Submits the task that `make` builds for a new call, and returns the promise that the task will
  /// settle. What belongs to the JavaScript thread stays here: the task knows only the call's id.
  /// An open call keeps the process alive.
  template <typename Make>
  Napi::Promise start(Napi::Function on_tokens, Make make) {
    const auto [id, promise] = open_call(on_tokens);
    try {
      thread_->submit(make(id));
    } catch (...) {
      close_call(id);
      throw;
    }
    return promise;
  }

  void resolve(CallId id, Napi::Value value);
  void reject(CallId id, Napi::Value error);
  /// The callback of an open call; empty once it is settled.
  Napi::Function on_tokens(CallId id);

  Napi::FunctionReference model_class;
  Napi::FunctionReference session_class;

 private:
  struct Call {
    Napi::Promise::Deferred deferred;
    Napi::FunctionReference on_tokens;
  };

  void stop_at_process_exit();
  std::pair<CallId, Napi::Promise> open_call(Napi::Function on_tokens);
  std::optional<Call> close_call(CallId id);

  Napi::Env env_;
  MessageQueue messages_;
  std::shared_ptr<InferenceThread> thread_ = std::make_shared<InferenceThread>();
  std::map<CallId, Call> calls_;
  CallId next_id_ = 1;
};

inline Addon& addon_of(Napi::Env env) { return *env.GetInstanceData<Addon>(); }

/// Keeps an engine object for a JavaScript one, and frees its arrays on the inference thread when
/// JavaScript closes it or loses it.
template <typename State>
class Handle {
 public:
  Handle(Napi::Env env, std::shared_ptr<State> state)
      : thread_(addon_of(env).thread()), state_(std::move(state)) {}
  ~Handle() { close(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  void close() {
    if (closed_) return;
    closed_ = true;
    thread_->submit([state = state_] { state->release(); });
  }
  bool is_closed() const { return closed_; }

  State* operator->() const { return state_.get(); }
  const std::shared_ptr<State>& state() const { return state_; }

 private:
  const std::shared_ptr<InferenceThread> thread_;
  const std::shared_ptr<State> state_;
  bool closed_ = false;
};
