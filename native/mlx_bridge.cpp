// The native line: everything that crosses between JavaScript and the engine, as
// src/mlx/native-types.ts types it. Only this file and bridge/ know Node-API.

#include <napi.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bridge/addon.h"
#include "bridge/grammar_calls.h"
#include "bridge/load_tasks.h"
#include "bridge/tasks.h"
#include "bridge/values.h"
#include "engine_error.h"
#include "mlx/distributed.h"
#include "mlx/error.h"
#include "mlx/memory.h"
#include "models/model.h"

namespace {

/// Starts a task and returns an object with its promise, under `name`, and a function that cancels
/// it. JavaScript keeps only the flag: the arrays of a task are freed on the inference thread.
template <typename Task, typename... Arguments>
Napi::Object start_cancellable(Napi::Env env, const char* name, Arguments... arguments) {
  Addon& addon = addon_of(env);
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  const Napi::Promise promise = addon.start(Napi::Function(), [&](CallId id) {
    return std::make_shared<Task>(addon, id, std::move(arguments)..., cancelled);
  });
  Napi::Object running = Napi::Object::New(env);
  running.Set(name, promise);
  running.Set("cancel", Napi::Function::New(env, [cancelled](const Napi::CallbackInfo&) {
                *cancelled = true;
              }));
  return running;
}

/// From a `NativeTexts`.
TextsArgument to_texts_argument(const Napi::Value& value, int vocab_size) {
  if (!value.IsObject()) refuse_argument("texts must be an object");
  const auto object = value.As<Napi::Object>();
  TextsArgument texts{
      .tokens = to_tokens(object.Get("tokens"), "tokens", vocab_size),
      .segments = {},
      .lengths = to_counts(object.Get("lengths"), "lengths")};
  const Napi::Value segments = object.Get("segments");
  if (!segments.IsUndefined()) texts.segments = to_counts(segments, "segments");
  return texts;
}

class ModelWrap : public Napi::ObjectWrap<ModelWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Model",
        {InstanceMethod<&ModelWrap::session>("session"),
         InstanceMethod<&ModelWrap::with_adapter>("withAdapter"),
         InstanceMethod<&ModelWrap::limit_prompt_cache>("limitPromptCache"),
         InstanceMethod<&ModelWrap::read_prompt_cache>("readPromptCache"),
         InstanceMethod<&ModelWrap::embed>("embed"),
         InstanceMethod<&ModelWrap::classify>("classify"),
         InstanceMethod<&ModelWrap::next_logits>("nextLogits"),
         InstanceMethod<&ModelWrap::close>("close")});
  }

  explicit ModelWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ModelWrap>(info), model_(info.Env(), from_external(info)) {
    // Values, not getters: Node-API does not check what a getter is called on.
    const auto number = [&](const char* name, double value) {
      return Napi::PropertyDescriptor::Value(
          name, Napi::Number::New(info.Env(), value), napi_enumerable);
    };
    const auto flag = [&](const char* name, bool value) {
      return Napi::PropertyDescriptor::Value(
          name, Napi::Boolean::New(info.Env(), value), napi_enumerable);
    };
    Value().DefineProperties(
        {number("vocabSize", model_->vocab_size), number("imageSize", model_->images.size),
         number("imageTokens", model_->images.tokens),
         number("bytes", static_cast<double>(model_->bytes)), number("labels", model_->labels),
         flag("isEncoder", model_->is_encoder), flag("canTrim", model_->can_trim)});
  }

  /// What only the inference thread touches.
  const std::shared_ptr<ModelState>& open_state() const {
    if (model_.is_closed()) throw EngineError("closed", "the model is closed");
    return model_.state();
  }

 private:
  Napi::Value session(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      if (model_->is_encoder) throw EngineError("unsupported_task", "an encoder generates nothing");
      return addon_of(info.Env()).session_class.New({to_external(info.Env(), open_state())});
    });
  }

  /// Returns a `NativeLoading`.
  Napi::Value with_adapter(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const auto& state = open_state();
      if (!info[0].IsObject()) refuse_argument("adapter must be an object");
      return start_cancellable<AdaptTask>(info.Env(), "model", state, to_config(info[0]));
    });
  }

  /// Returns a promise of the bytes that the prompt cache holds then.
  Napi::Value limit_prompt_cache(const Napi::CallbackInfo& info) {
    return guarded_promise(info.Env(), [&] {
      if (model_.is_closed()) throw EngineError("closed", "the model is closed");
      const PrefixCache::Limits limits = to_prefix_cache_limits(info[0]);
      auto store = to_prefix_store_options(info[0]);
      Addon& addon = addon_of(info.Env());
      return addon.start(Napi::Function(), [&](CallId id) {
        return std::make_shared<LimitTask>(addon, id, model_.state(), limits, std::move(store));
      });
    });
  }

  /// Returns a promise of the vectors of texts.
  Napi::Value embed(const Napi::CallbackInfo& info) {
    return encode(info, [&] {
      if (!info[1].IsArray()) refuse_argument("poolings must be a list");
      const auto names = info[1].As<Napi::Array>();
      std::vector<Pooling> poolings;
      for (uint32_t i = 0; i < names.Length(); i++) {
        poolings.push_back(to_pooling(names.Get(i).ToString()));
      }
      if (poolings.empty()) refuse_argument("poolings must not be empty");
      return [poolings](const Embedder& embedder, const Texts& texts) {
        return embedder.embed(texts, poolings);
      };
    });
  }

  /// Returns a promise of the judgements of texts.
  Napi::Value classify(const Napi::CallbackInfo& info) {
    return encode(info, [] {
      return [](const Embedder& embedder, const Texts& texts) { return embedder.classify(texts); };
    });
  }

  /// Returns a promise of the logits of some tokens behind texts.
  Napi::Value next_logits(const Napi::CallbackInfo& info) {
    return encode(info, [&] {
      const auto tokens = to_tokens(info[1], "tokens", model_->vocab_size);
      return [tokens](const Embedder& embedder, const Texts& texts) {
        return embedder.next_logits(texts, tokens);
      };
    });
  }

  /// Asks something about texts; `make_ask` reads the arguments behind them.
  template <typename MakeAsk>
  Napi::Value encode(const Napi::CallbackInfo& info, MakeAsk make_ask) {
    return guarded_promise(info.Env(), [&] {
      const auto& state = open_state();
      TextsArgument texts = to_texts_argument(info[0], state->vocab_size);
      auto ask = make_ask();
      Addon& addon = addon_of(info.Env());
      return addon.start(Napi::Function(), [&](CallId id) {
        return std::make_shared<EncodeTask>(addon, id, state, std::move(texts), std::move(ask));
      });
    });
  }

  /// Returns a promise of the number of tokens that the model then remembers.
  Napi::Value read_prompt_cache(const Napi::CallbackInfo& info) {
    return guarded_promise(info.Env(), [&] {
      const auto& state = open_state();
      PromptCacheFile file = to_prompt_cache_file(info[0]);
      auto tokens = to_tokens(info[1], "tokens", state->vocab_size);
      if (tokens.size() != static_cast<size_t>(file.tokens)) {
        refuse_argument("tokens must be those of the file");
      }
      Addon& addon = addon_of(info.Env());
      return addon.start(Napi::Function(), [&](CallId id) {
        return std::make_shared<ReadCacheTask>(
            addon, id, state, std::move(tokens), std::move(file));
      });
    });
  }

  void close(const Napi::CallbackInfo&) { model_.close(); }

  Handle<ModelState> model_;
};

/// The model that drafts, if there is one.
std::shared_ptr<ModelState> to_draft_model(const Napi::Value& value) {
  if (value.IsUndefined()) return nullptr;
  const Napi::Env env = value.Env();
  const bool is_model =
      value.IsObject() && value.As<Napi::Object>().InstanceOf(addon_of(env).model_class.Value());
  if (!is_model) refuse_argument("draftModel must be a model");
  return ModelWrap::Unwrap(value.As<Napi::Object>())->open_state();
}

class SessionWrap : public Napi::ObjectWrap<SessionWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Session",
        {InstanceMethod<&SessionWrap::generate>("generate"),
         InstanceMethod<&SessionWrap::logits>("logits"),
         InstanceMethod<&SessionWrap::write_prompt_cache>("writePromptCache"),
         InstanceMethod<&SessionWrap::cancel>("cancel"),
         InstanceMethod<&SessionWrap::pause>("pause"),
         InstanceMethod<&SessionWrap::resume>("resume"),
         InstanceMethod<&SessionWrap::close>("close")});
  }

  explicit SessionWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SessionWrap>(info),
        session_(info.Env(), std::make_shared<SessionState>()) {
    const auto model = from_external(info);
    vocab_size_ = model->vocab_size;
    images_ = model->images;
    const auto& thread = addon_of(info.Env()).thread();
    thread->track(session_.state());
    // Only the inference thread touches what it may release.
    thread->submit([session = session_.state(), model] {
      session->model = model->model;
      session->scheduler = model->scheduler;
    });
  }

 private:
  Napi::Value generate(const Napi::CallbackInfo& info) {
    return guarded_promise(info.Env(), [&] {
      auto tokens = prompt(info[0]);
      if (!info[2].IsFunction()) refuse_argument("onTokens must be a function");
      auto options = to_generation_options(info[1], vocab_size_);
      const auto sampling = info[1].As<Napi::Object>();
      options.images = to_images(sampling.Get("images"), images_, tokens.size());
      auto draft_model = to_draft_model(sampling.Get("draftModel"));
      if (draft_model && !options.images.empty()) refuse_argument("draftModel cannot see images");
      const Napi::Value file = sampling.Get("promptCacheFile");
      auto before = file.IsUndefined() ? std::nullopt : std::optional(to_prompt_cache_file(file));
      generated_ = true;
      return start<GenerateTask>(
          info.Env(), info[2].As<Napi::Function>(), std::move(tokens), std::move(options),
          std::move(draft_model), std::move(before));
    });
  }

  Napi::Value write_prompt_cache(const Napi::CallbackInfo& info) {
    return guarded_promise(info.Env(), [&] {
      auto tokens = prompt(info[0]);
      auto options = to_generation_options(info[1], vocab_size_);
      if (!info[2].IsString()) refuse_argument("file must be a path");
      std::string file = info[2].As<Napi::String>();
      return start<WriteCacheTask>(
          info.Env(), Napi::Function(), std::move(tokens), std::move(options), std::move(file),
          to_texts(info[3], "metadata"));
    });
  }

  Napi::Value logits(const Napi::CallbackInfo& info) {
    return guarded_promise(info.Env(), [&] {
      auto tokens = prompt(info[0]);
      auto images = to_images(info[1], images_, tokens.size());
      return start<LogitsTask>(info.Env(), Napi::Function(), std::move(tokens), std::move(images));
    });
  }

  void cancel(const Napi::CallbackInfo& info) {
    control_->cancelled = true;
    wake(info.Env());
  }

  void pause(const Napi::CallbackInfo&) { control_->paused = true; }

  void resume(const Napi::CallbackInfo& info) {
    control_->paused = false;
    wake(info.Env());
  }

  void close(const Napi::CallbackInfo& info) {
    cancel(info);
    session_.close();
  }

  /// A paused reply does not notice by itself that it may go on, or is to end.
  void wake(Napi::Env env) {
    if (session_.is_closed()) return;
    const auto& thread = addon_of(env).thread();
    thread->submit([session = session_.state(), &thread = *thread] {
      ReplyTask::wake(thread, session->scheduler);
    });
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
    // An earlier `cancel` was meant for an earlier call.
    control_ = std::make_shared<ReplyControl>();
    return addon.start(on_tokens, [&](CallId id) {
      return std::make_shared<T>(addon, id, session_.state(), control_, std::move(arguments)...);
    });
  }

  Handle<SessionState> session_;
  std::shared_ptr<ReplyControl> control_ = std::make_shared<ReplyControl>();
  int vocab_size_ = 0;
  ImageFormat images_;
  bool generated_ = false;
};

Napi::Value version(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("mlx", mx::version());
    object.Set("mlxC", MLXC_VERSION);
#ifdef LLGUIDANCE_VERSION
    object.Set("llguidance", LLGUIDANCE_VERSION);
#endif
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

Napi::Value leave_group(const Napi::CallbackInfo& info) {
  mx::leave_group();
  return info.Env().Undefined();
}

Napi::Value list_model_types(const Napi::CallbackInfo& info) {
  const auto types = model_types();
  Napi::Array array = Napi::Array::New(info.Env(), types.size());
  for (uint32_t i = 0; i < types.size(); i++) array.Set(i, types[i]);
  return array;
}

/// From a list of paths or a `NativeGguf`.
WeightFiles to_weight_files(const Napi::Value& value) {
  if (!value.IsObject()) refuse_argument("weights must be a list of paths or a GGUF file");
  if (!value.IsArray()) {
    const Config gguf = to_config(value);
    return {.names = {gguf.text("file")}, .gguf = gguf};
  }
  const auto paths = value.As<Napi::Array>();
  WeightFiles files;
  for (uint32_t i = 0; i < paths.Length(); i++) files.names.push_back(paths.Get(i).ToString());
  return files;
}

/// From the arguments that name a checkpoint.
Source to_source(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) refuse_argument("config must be an object");
  return {to_config(info[0]), to_weight_files(info[1]), to_conversion(to_config(info[2]))};
}

/// The processes that are to share a model; none unless they are given.
std::optional<Sharers> to_sharers(const Napi::Value& value) {
  if (value.IsUndefined()) return std::nullopt;
  const Config group = to_config(value);
  return Sharers{
      .peers =
          {.backend = group.text("backend"),
           .rank = group.count("rank", 0),
           .size = group.positive("size"),
           .ports = group.counts("ports"),
           .next_ports = group.counts("nextPorts")},
      .digest = static_cast<uint32_t>(group.count("digest", 0))};
}

/// Returns a `NativeLoading`.
Napi::Value load(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return start_cancellable<LoadTask>(info.Env(), "model", to_source(info), to_sharers(info[3]));
  });
}

/// Returns a promise of a `NativeFootprint`.
Napi::Value measure(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), [&] {
    Addon& addon = addon_of(info.Env());
    Source source = to_source(info);
    const auto sharers = to_sharers(info[3]);
    const mx::Group group = sharers ? mx::Group(sharers->peers) : mx::Group();
    return addon.start(Napi::Function(), [&](CallId id) {
      return std::make_shared<MeasureTask>(addon, id, std::move(source), group);
    });
  });
}

/// Returns a `NativeConverting`.
Napi::Value convert(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    if (!info[3].IsString()) refuse_argument("folder must be a path");
    const std::string folder = info[3].As<Napi::String>().Utf8Value();
    return start_cancellable<ConvertTask>(info.Env(), "done", to_source(info), folder);
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
  exports.Set("leaveGroup", Napi::Function::New<leave_group>(env, "leaveGroup"));
  exports.Set("modelTypes", Napi::Function::New<list_model_types>(env, "modelTypes"));
  exports.Set("load", Napi::Function::New<load>(env, "load"));
  exports.Set("measure", Napi::Function::New<measure>(env, "measure"));
  exports.Set("tokenTable", Napi::Function::New<make_token_table>(env, "tokenTable"));
  exports.Set("grammar", Napi::Function::New<compile_grammar>(env, "grammar"));
  exports.Set("accepts", Napi::Function::New<grammar_accepts>(env, "accepts"));
  exports.Set("convert", Napi::Function::New<convert>(env, "convert"));
  return exports;
}

}  // namespace

NODE_API_MODULE(mlx_llm_client, init)
