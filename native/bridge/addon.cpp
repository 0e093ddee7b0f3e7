#include "bridge/addon.h"

#include "mlx/distributed.h"

Napi::Value to_external(Napi::Env env, std::shared_ptr<ModelState> model) {
  using Pointer = std::shared_ptr<ModelState>;
  return Napi::External<Pointer>::New(
      env, new Pointer(std::move(model)), [](Napi::BasicEnv, Pointer* pointer) { delete pointer; });
}

std::shared_ptr<ModelState> from_external(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "Models come from load(), sessions from a model");
  }
  return *info[0].As<Napi::External<std::shared_ptr<ModelState>>>().Data();
}

void deliver(Napi::Env env, Napi::Function, Addon* addon, Message* message) {
  const std::unique_ptr<Message> owned(message);
  // Node passes no environment for what is left when it ends.
  if (static_cast<napi_env>(env) == nullptr) return;
  try {
    (*owned)(env, *addon);
  } catch (const Napi::Error&) {
    // A worker that is being terminated refuses every call; there is nobody left to tell.
  }
}

Addon::Addon(Napi::Env env) : env_(env) {
  messages_ = MessageQueue::New(env, "mlx-llm-client", 0, 1, this);
  messages_.Unref(env);
  stop_at_process_exit();
  // Runs before Node frees the queue and this object: at a quiet end and at worker termination.
  // Last, because nothing may throw once it holds this object.
  napi_add_env_cleanup_hook(
      env,
      [](void* data) {
        auto* addon = static_cast<Addon*>(data);
        addon->thread_->stop();
        addon->messages_.Abort();
      },
      this);
}

void Addon::stop_at_process_exit() {
  // process.exit and uncaught errors run no cleanup hook: without this, MLX's static objects would
  // be destroyed under the running thread.
  const Napi::Value process = env_.Global().Get("process");
  if (!process.IsObject()) return;
  const Napi::Value once = process.As<Napi::Object>().Get("once");
  if (!once.IsFunction()) return;
  const auto stop = Napi::Function::New(
      env_,
      [thread = thread_](const Napi::CallbackInfo&) {
        // A step may be waiting for a process that never answers.
        mx::leave_group();
        thread->stop();
      },
      "stopInference");
  once.As<Napi::Function>().Call(process, {Napi::String::New(env_, "exit"), stop});
}

std::pair<CallId, Napi::Promise> Addon::open_call(Napi::Function on_tokens) {
  if (calls_.empty()) messages_.Ref(env_);
  Call call{Napi::Promise::Deferred::New(env_), {}};
  if (!on_tokens.IsEmpty()) call.on_tokens = Napi::Persistent(on_tokens);
  const Napi::Promise promise = call.deferred.Promise();
  calls_.emplace(next_id_, std::move(call));
  return {next_id_++, promise};
}

std::optional<Addon::Call> Addon::close_call(CallId id) {
  auto node = calls_.extract(id);
  if (!node) return std::nullopt;
  if (calls_.empty()) messages_.Unref(env_);
  return std::move(node.mapped());
}

void Addon::resolve(CallId id, Napi::Value value) {
  if (auto call = close_call(id)) call->deferred.Resolve(value);
}

void Addon::reject(CallId id, Napi::Value error) {
  if (auto call = close_call(id)) call->deferred.Reject(error);
}

Napi::Function Addon::on_tokens(CallId id) {
  const auto call = calls_.find(id);
  return call == calls_.end() ? Napi::Function() : call->second.on_tokens.Value();
}
