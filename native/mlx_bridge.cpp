// The native line: everything that crosses between JavaScript and the engine, and the only file
// that knows Node-API. src/mlx/native-types.ts types what is exported here.

#include <napi.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine_error.h"
#include "generate/generation.h"
#include "inference_thread.h"
#include "mlx/memory.h"
#include "mlx/stream.h"
#include "models/model.h"
#include "weights.h"

namespace {

// ---- Values ------------------------------------------------------------------------------------

Napi::Error to_js_error(Napi::Env env, const EngineError& error) {
  Napi::Error js_error = Napi::Error::New(env, error.what());
  js_error.Set("code", error.code());
  return js_error;
}

[[noreturn]] void refuse_argument(const std::string& message) {
  throw EngineError("invalid_argument", message);
}

/// Runs the body of a function that JavaScript called; engine errors become JavaScript ones.
template <typename Body>
auto guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const EngineError& error) {
    throw to_js_error(env, error);
  }
}

/// The same for a function that returns a promise: it rejects.
template <typename Body>
Napi::Value guarded_promise(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const EngineError& error) {
    const auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(to_js_error(env, error).Value());
    return deferred.Promise();
  }
}

Config to_config(const Napi::Value& value, int depth = 0) {
  if (depth > 64) throw EngineError("bad_config", "config.json is nested too deeply");
  if (value.IsBoolean()) return Config(value.As<Napi::Boolean>().Value());
  if (value.IsNumber()) return Config(value.As<Napi::Number>().DoubleValue());
  if (value.IsString()) return Config(value.As<Napi::String>().Utf8Value());
  if (value.IsArray()) {
    const Napi::Array entries = value.As<Napi::Array>();
    Config::List list;
    for (uint32_t i = 0; i < entries.Length(); i++) {
      list.push_back(to_config(entries.Get(i), depth + 1));
    }
    return Config(std::move(list));
  }
  if (value.IsObject()) {
    const Napi::Object entries = value.As<Napi::Object>();
    Config::Object object;
    const Napi::Array keys = entries.GetPropertyNames();
    for (uint32_t i = 0; i < keys.Length(); i++) {
      const Napi::Value key = keys.Get(i);
      object.emplace(key.ToString().Utf8Value(), to_config(entries.Get(key), depth + 1));
    }
    return Config(std::move(object));
  }
  return Config();
}

double to_number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse_argument(std::string(name) + " must hold numbers");
  return value.As<Napi::Number>().DoubleValue();
}

uint32_t check_token(double token, const char* name, int vocab_size) {
  if (!(token >= 0 && token < vocab_size) || token != std::floor(token)) {
    std::ostringstream message;
    message << name << ": token id " << token << " is outside the vocabulary of " << vocab_size;
    refuse_argument(message.str());
  }
  return static_cast<uint32_t>(token);
}

std::vector<uint32_t> to_tokens(const Napi::Value& value, const char* name, int vocab_size) {
  std::vector<uint32_t> tokens;
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint32_array) {
    const auto array = value.As<Napi::Uint32Array>();
    tokens.assign(array.Data(), array.Data() + array.ElementLength());
    for (const uint32_t token : tokens) check_token(token, name, vocab_size);
  } else if (value.IsArray()) {
    const auto array = value.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); i++) {
      tokens.push_back(check_token(to_number(array.Get(i), name), name, vocab_size));
    }
  } else {
    refuse_argument(std::string(name) + " must be a list of token ids");
  }
  return tokens;
}

/// Reads the fields of a `NativeSampling`.
class Options {
 public:
  explicit Options(const Napi::Value& value) {
    if (!value.IsObject()) refuse_argument("sampling must be an object");
    object_ = value.As<Napi::Object>();
  }

  Napi::Value get(const char* name) const { return object_.Get(name); }
  bool has(const char* name) const { return !get(name).IsUndefined(); }

  double number(const char* name, double low, double high) const {
    const double value = to_number(get(name), name);
    if (!(value >= low && value <= high)) {
      std::ostringstream message;
      message << name << " is " << value << ", but must be from " << low << " to " << high;
      refuse_argument(message.str());
    }
    return value;
  }

  float real(const char* name, float fallback, double low, double high) const {
    return has(name) ? static_cast<float>(number(name, low, high)) : fallback;
  }

  double whole(const char* name, double low, double high) const {
    const double value = number(name, low, high);
    if (value != std::floor(value)) refuse_argument(std::string(name) + " must be a whole number");
    return value;
  }

  int integer(const char* name, int low) const {
    return static_cast<int>(whole(name, low, std::numeric_limits<int>::max()));
  }

  int integer(const char* name, int fallback, int low) const {
    return has(name) ? integer(name, low) : fallback;
  }

 private:
  Napi::Object object_;
};

std::vector<std::pair<uint32_t, float>> to_logit_bias(const Napi::Value& value, int vocab_size) {
  if (!value.IsArray()) refuse_argument("logitBias must be a list of [token, bias]");
  const auto entries = value.As<Napi::Array>();
  std::vector<std::pair<uint32_t, float>> result;
  for (uint32_t i = 0; i < entries.Length(); i++) {
    const Napi::Value entry = entries.Get(i);
    if (!entry.IsArray()) refuse_argument("logitBias must be a list of [token, bias]");
    const auto pair = entry.As<Napi::Array>();
    const double token = to_number(pair.Get(uint32_t{0}), "logitBias");
    const double bias = to_number(pair.Get(uint32_t{1}), "logitBias");
    if (!std::isfinite(bias)) refuse_argument("logitBias must hold finite numbers");
    result.emplace_back(check_token(token, "logitBias", vocab_size), static_cast<float>(bias));
  }
  return result;
}

SamplingOptions to_sampling(const Options& options, int vocab_size) {
  constexpr double most = std::numeric_limits<float>::max();
  SamplingOptions sampling;
  sampling.temperature = options.real("temperature", 0, 0, most);
  sampling.top_p = options.real("topP", 1, 1e-6, 1);
  sampling.top_k = options.integer("topK", 0, 0);
  sampling.min_p = options.real("minP", 0, 0, 1);
  sampling.xtc_probability = options.real("xtcProbability", 0, 0, 1);
  sampling.xtc_threshold = options.real("xtcThreshold", 0.1, 0, 0.5);
  sampling.repetition_penalty = options.real("repetitionPenalty", 1, 1e-6, most);
  sampling.repetition_context_size = options.integer("repetitionContextSize", 20, 1);
  sampling.presence_penalty = options.real("presencePenalty", 0, -most, most);
  sampling.frequency_penalty = options.real("frequencyPenalty", 0, -most, most);
  sampling.top_logprobs = options.integer("topLogprobs", 0, 0);
  sampling.logprobs = sampling.top_logprobs > 0 || options.get("logprobs").ToBoolean();
  if (options.has("penaltyContextSize")) {
    sampling.penalty_context_size = options.integer("penaltyContextSize", 1);
  }
  if (options.has("seed")) {
    constexpr double most_seed = 9007199254740991;  // Number.MAX_SAFE_INTEGER
    sampling.seed = static_cast<uint64_t>(options.whole("seed", 0, most_seed));
  }
  if (options.has("xtcSpecialTokens")) {
    sampling.xtc_special_tokens =
        to_tokens(options.get("xtcSpecialTokens"), "xtcSpecialTokens", vocab_size);
  }
  if (options.has("logitBias")) {
    sampling.logit_bias = to_logit_bias(options.get("logitBias"), vocab_size);
  }
  return sampling;
}

GenerationOptions to_generation_options(const Napi::Value& value, int vocab_size) {
  const Options options(value);
  GenerationOptions result;
  result.max_tokens = options.integer("maxTokens", 1);
  result.prefill_step_size = options.integer("prefillStepSize", result.prefill_step_size, 1);
  result.stop_tokens = to_tokens(options.get("stopTokens"), "stopTokens", vocab_size);
  result.sampling = to_sampling(options, vocab_size);
  return result;
}

Napi::Object to_js(Napi::Env env, const GenerationStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("finishReason", stats.finish_reason);
  object.Set("promptTokens", stats.prompt_tokens);
  object.Set("completionTokens", stats.completion_tokens);
  object.Set("promptMs", stats.prompt_ms);
  object.Set("decodeMs", stats.decode_ms);
  object.Set("graphMs", stats.graph_ms);
  return object;
}

/// A `NativeTokenBatch`.
Napi::Object to_js(
    Napi::Env env, const std::vector<TokenEvent>& events, const SamplingOptions& sampling) {
  Napi::Object batch = Napi::Object::New(env);
  auto tokens = Napi::Uint32Array::New(env, events.size());
  for (size_t i = 0; i < events.size(); i++) tokens[i] = events[i].token;
  batch.Set("tokens", tokens);
  if (!sampling.logprobs) return batch;

  auto logprobs = Napi::Float32Array::New(env, events.size());
  const size_t k = events[0].top_logprobs.size();
  auto top_tokens = Napi::Uint32Array::New(env, events.size() * k);
  auto top_logprobs = Napi::Float32Array::New(env, events.size() * k);
  for (size_t i = 0; i < events.size(); i++) {
    logprobs[i] = events[i].logprob;
    for (size_t j = 0; j < k; j++) {
      top_tokens[i * k + j] = events[i].top_logprobs[j].first;
      top_logprobs[i * k + j] = events[i].top_logprobs[j].second;
    }
  }
  batch.Set("logprobs", logprobs);
  if (k > 0) {
    batch.Set("topTokens", top_tokens);
    batch.Set("topLogprobs", top_logprobs);
  }
  return batch;
}

// ---- Between the threads -----------------------------------------------------------------------

/// What the engine holds for a JavaScript `Model`; the array holders are freed by `release`.
struct ModelState : Resource {
  std::shared_ptr<const Model> model;
  int vocab_size = 0;
  size_t bytes = 0;

  void release() override { model.reset(); }
};

struct SessionState : Resource {
  std::shared_ptr<const Model> model;
  std::shared_ptr<Cache> cache;  // made at the first use
  std::atomic<bool> cancelled = false;

  void release() override {
    cache.reset();
    model.reset();
  }
};

/// How our own code hands a model to the constructor of a JavaScript class.
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

  /// A promise that the inference thread will settle. What belongs to the JavaScript thread stays
  /// here, and the inference thread knows only the id. An open call keeps the process alive.
  std::pair<CallId, Napi::Promise> open_call(Napi::Env env, Napi::Function on_tokens = {});
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

  std::optional<Call> close_call(CallId id);

  Napi::Env env_;
  MessageQueue messages_;
  std::shared_ptr<InferenceThread> thread_ = std::make_shared<InferenceThread>();
  std::map<CallId, Call> calls_;
  CallId next_id_ = 1;
};

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
  // Runs before Node frees the queue and this object: at a quiet end and at worker termination.
  napi_add_env_cleanup_hook(
      env,
      [](void* data) {
        auto* addon = static_cast<Addon*>(data);
        addon->thread_->stop();
        addon->messages_.Abort();
      },
      this);
  // process.exit and uncaught errors run no such hook: without this, MLX's static objects would be
  // destroyed under the running thread.
  const auto stop = Napi::Function::New(
      env, [thread = thread_](const Napi::CallbackInfo&) { thread->stop(); }, "stopInference");
  const auto process = env.Global().Get("process").As<Napi::Object>();
  process.Get("once").As<Napi::Function>().Call(process, {Napi::String::New(env, "exit"), stop});
}

std::pair<CallId, Napi::Promise> Addon::open_call(Napi::Env env, Napi::Function on_tokens) {
  if (calls_.empty()) messages_.Ref(env);
  Call call{Napi::Promise::Deferred::New(env), {}};
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

/// A task that settles a call; an exception of `advance` rejects it.
class CallTask : public Task {
 public:
  CallTask(Addon& addon, CallId id) : addon_(addon), id_(id) {}

  bool step() final {
    try {
      mx::open_thread_stream();
      return advance();
    } catch (const EngineError& error) {
      fail(error);
    } catch (const std::exception& error) {
      fail(EngineError("mlx_error", error.what()));
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
      unread_ = weights.taken();
      for (const mx::array& tensor : unread_) bytes_ += tensor.nbytes();
      return true;
    }
    if (!unread_.empty()) {
      read_group();
      return true;
    }
    if (const auto limit = mx::wired_limit_for(bytes_, mx::default_device())) {
      mx::set_wired_limit(*limit);
    }
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
void open_cache(SessionState& session) {
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

 protected:
  bool advance() override {
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

// ---- Classes -----------------------------------------------------------------------------------

Addon& addon_of(Napi::Env env) { return *env.GetInstanceData<Addon>(); }

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

class SessionWrap : public Napi::ObjectWrap<SessionWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Session",
        {InstanceMethod<&SessionWrap::generate>("generate"),
         InstanceMethod<&SessionWrap::logits>("logits"),
         InstanceMethod<&SessionWrap::cancel>("cancel"),
         InstanceMethod<&SessionWrap::close>("close")});
  }

  explicit SessionWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SessionWrap>(info),
        session_(info.Env(), std::make_shared<SessionState>()) {
    const auto model = from_external(info);
    vocab_size_ = model->vocab_size;
    const auto& thread = addon_of(info.Env()).thread();
    thread->track(session_.state());
    // Only the inference thread touches what it may release.
    thread->submit([session = session_.state(), model] { session->model = model->model; });
  }

 private:
  Napi::Value generate(const Napi::CallbackInfo& info) {
    return guarded_promise(info.Env(), [&] {
      auto tokens = prompt(info[0]);
      if (!info[2].IsFunction()) refuse_argument("onTokens must be a function");
      auto options = to_generation_options(info[1], vocab_size_);
      generated_ = true;
      return start<GenerateTask>(
          info.Env(), info[2].As<Napi::Function>(), std::move(tokens), std::move(options));
    });
  }

  Napi::Value logits(const Napi::CallbackInfo& info) {
    return guarded_promise(info.Env(), [&] {
      return start<LogitsTask>(info.Env(), Napi::Function(), prompt(info[0]));
    });
  }

  void cancel(const Napi::CallbackInfo&) { session_->cancelled = true; }

  void close(const Napi::CallbackInfo&) {
    session_->cancelled = true;
    session_.close();
  }

  std::vector<uint32_t> prompt(const Napi::Value& value) const {
    if (session_.is_closed()) throw EngineError("closed", "the session is closed");
    // The timeline ends behind tokens that were computed ahead and never delivered.
    if (generated_) refuse_argument("the session has generated already; open a new one");
    auto tokens = to_tokens(value, "tokens", vocab_size_);
    if (tokens.empty()) refuse_argument("tokens must not be empty");
    return tokens;
  }

  template <typename T, typename... Arguments>
  Napi::Value start(Napi::Env env, Napi::Function on_tokens, Arguments... arguments) {
    Addon& addon = addon_of(env);
    const auto [id, promise] = addon.open_call(env, on_tokens);
    addon.thread()->submit(
        std::make_shared<T>(addon, id, session_.state(), std::move(arguments)...));
    return promise;
  }

  Handle<SessionState> session_;
  int vocab_size_ = 0;
  bool generated_ = false;
};

class ModelWrap : public Napi::ObjectWrap<ModelWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Model",
        {InstanceMethod<&ModelWrap::session>("session"), InstanceMethod<&ModelWrap::close>("close"),
         InstanceAccessor<&ModelWrap::vocab_size>("vocabSize"),
         InstanceAccessor<&ModelWrap::bytes>("bytes")});
  }

  explicit ModelWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ModelWrap>(info), model_(info.Env(), from_external(info)) {}

 private:
  Napi::Value session(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      if (model_.is_closed()) throw EngineError("closed", "the model is closed");
      return addon_of(info.Env()).session_class.New({to_external(info.Env(), model_.state())});
    });
  }

  void close(const Napi::CallbackInfo&) { model_.close(); }

  Napi::Value vocab_size(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), model_->vocab_size);
  }

  Napi::Value bytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(model_->bytes));
  }

  Handle<ModelState> model_;
};

// ---- Module ------------------------------------------------------------------------------------

Napi::Value version(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("mlx", mx::version());
    return object;
  });
}

Napi::Value device(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const mx::Device device = mx::default_device();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("type", device.gpu ? "gpu" : "cpu");
    object.Set("name", device.name);
    if (device.memory_size) object.Set("memorySize", static_cast<double>(*device.memory_size));
    if (device.max_recommended_working_set_size) {
      object.Set(
          "maxRecommendedWorkingSetSize",
          static_cast<double>(*device.max_recommended_working_set_size));
    }
    return object;
  });
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const mx::Memory memory = mx::memory();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("active", static_cast<double>(memory.active));
    object.Set("cache", static_cast<double>(memory.cache));
    object.Set("peak", static_cast<double>(memory.peak));
    return object;
  });
}

Napi::Value list_model_types(const Napi::CallbackInfo& info) {
  const auto types = model_types();
  Napi::Array array = Napi::Array::New(info.Env(), types.size());
  for (uint32_t i = 0; i < types.size(); i++) array.Set(i, types[i]);
  return array;
}

/// Returns a `NativeLoading`.
Napi::Value load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    if (!info[0].IsObject()) refuse_argument("config must be an object");
    if (!info[1].IsArray()) refuse_argument("weightFiles must be a list of paths");
    const auto paths = info[1].As<Napi::Array>();
    std::vector<std::string> files;
    for (uint32_t i = 0; i < paths.Length(); i++) files.push_back(paths.Get(i).ToString());
    Config config = to_config(info[0]);
    Addon& addon = addon_of(env);
    const auto [id, promise] = addon.open_call(env);
    // JavaScript keeps only the flag: the arrays of a load are freed on the inference thread.
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    addon.thread()->submit(
        std::make_shared<LoadTask>(addon, id, std::move(config), std::move(files), cancelled));
    Napi::Object loading = Napi::Object::New(env);
    loading.Set("model", promise);
    loading.Set("cancel", Napi::Function::New(env, [cancelled](const Napi::CallbackInfo&) {
                  *cancelled = true;
                }));
    return loading;
  });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  mx::install_error_handler();
  auto* addon = new Addon(env);
  env.SetInstanceData(addon);
  addon->model_class = Napi::Persistent(ModelWrap::define(env));
  addon->session_class = Napi::Persistent(SessionWrap::define(env));
  exports.Set("version", Napi::Function::New<version>(env, "version"));
  exports.Set("device", Napi::Function::New<device>(env, "device"));
  exports.Set("memory", Napi::Function::New<memory>(env, "memory"));
  exports.Set("modelTypes", Napi::Function::New<list_model_types>(env, "modelTypes"));
  exports.Set("load", Napi::Function::New<load>(env, "load"));
  return exports;
}

}  // namespace

NODE_API_MODULE(mlx_llm_client, init)
