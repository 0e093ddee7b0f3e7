#pragma once

#include <napi.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bridge/call_task.h"
#include "bridge/values.h"
#include "generate/logits.h"
#include "generate/prompt_cache_file.h"
#include "generate/scheduler.h"
#include "generate/shared_reply.h"
#include "mlx/distributed.h"
#include "mlx/stream.h"

/// Collects tokens until the JavaScript thread comes for them, so that a busy one gets batches.
class TokenOutbox : public std::enable_shared_from_this<TokenOutbox> {
 public:
  TokenOutbox(
      Addon& addon, CallId id, std::shared_ptr<ReplyControl> control, SamplingOptions sampling)
      : addon_(addon), id_(id), control_(std::move(control)), sampling_(std::move(sampling)) {}

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
      control_->cancelled = true;
      addon_.reject(id_, error.Value());
    }
  }

  Addon& addon_;
  const CallId id_;
  const std::shared_ptr<ReplyControl> control_;
  const SamplingOptions sampling_;
  std::mutex mutex_;
  std::vector<TokenEvent> events_;
};

/// The steps of a model's replies.
class ReplyTask : public Task {
 public:
  explicit ReplyTask(std::shared_ptr<Scheduler> scheduler) : scheduler_(std::move(scheduler)) {}

  /// Sees to it that the steps go on; on the inference thread.
  static void wake(InferenceThread& thread, const std::shared_ptr<Scheduler>& scheduler) {
    if (!scheduler || std::exchange(scheduler->is_awake, true)) return;
    thread.submit(std::make_shared<ReplyTask>(scheduler));
  }

  bool step() override {
    mx::open_thread_stream();
    return scheduler_->is_awake = scheduler_->step();
  }

  void cancel() override { scheduler_->cancel(); }

 private:
  const std::shared_ptr<Scheduler> scheduler_;
};

/// The steps of a reply that processes make together.
class SharedReplyTask : public Task {
 public:
  explicit SharedReplyTask(SharedReply reply) : reply_(std::move(reply)) {}

  bool step() override {
    mx::open_thread_stream();
    return reply_.step();
  }

  void cancel() override { mx::leave_group(); }

 private:
  SharedReply reply_;
};

/// Checks that the session is open, and gives it a cache at its first use.
inline void open_cache(SessionState& session) {
  if (!session.model) throw EngineError("closed", "the session is closed");
  if (!session.cache) session.cache = session.model->make_cache();
}

/// Lets a reply begin, which settles the call.
class GenerateTask : public CallTask {
 public:
  GenerateTask(
      Addon& addon, CallId id, std::shared_ptr<SessionState> session,
      std::shared_ptr<ReplyControl> control, std::vector<uint32_t> tokens,
      GenerationOptions options, std::shared_ptr<ModelState> draft_model,
      std::optional<PromptCacheFile> before)
      : CallTask(addon, id),
        session_(std::move(session)),
        control_(std::move(control)),
        tokens_(std::move(tokens)),
        options_(std::move(options)),
        draft_model_(std::move(draft_model)),
        before_(std::move(before)) {}

  void cancel() override { control_->cancelled = true; }

 protected:
  bool advance() override {
    if (before_) begin_behind(*before_);
    // What the prefix cache knows are texts from their beginnings.
    if (session_->cache) options_.use_prefix_cache = false;
    open_cache(*session_);
    if (options_.grammar && !session_->model->group.is_alone()) {
      throw EngineError("unsupported_grammar", "processes that share a model follow no grammar");
    }
    if (draft_model_ && !draft_model_->model) {
      throw EngineError("closed", "the draft model is closed");
    }
    if (draft_model_) options_.speculation.draft_model = draft_model_->model;
    auto outbox = std::make_shared<TokenOutbox>(addon_, id_, control_, options_.sampling);
    const auto self = shared_from_this();
    ReplyListener listener{
        .on_token = [outbox](TokenEvent event) { outbox->push(std::move(event)); },
        .on_end =
            [self](const GenerationStats& stats) {
              self->succeed([stats](Napi::Env env) { return to_js(env, stats); });
            },
        .on_error = [self](const EngineError& error) { self->fail(error); }};
    Cache cache = std::exchange(session_->cache, std::nullopt).value();
    auto reply = std::make_shared<Reply>(
        *session_->model, std::move(cache), std::move(tokens_), std::move(options_), control_,
        std::move(listener));
    if (session_->model->group.is_alone()) {
      session_->scheduler->add(std::move(reply));
      ReplyTask::wake(*addon_.thread(), session_->scheduler);
    } else {
      SharedReply shared(session_->model, std::move(reply));
      addon_.thread()->submit(std::make_shared<SharedReplyTask>(std::move(shared)));
    }
    return false;
  }

 private:
  /// Takes the text of a file for what comes before the prompt.
  void begin_behind(const PromptCacheFile& file) {
    if (!session_->model) throw EngineError("closed", "the session is closed");
    const int room = file.tokens + static_cast<int>(tokens_.size());
    session_->cache = read_prompt_cache(*session_->model, file, room);
    options_.tokens_before = file.tokens;
    options_.max_kv_size = file.max_kv_size;
    if (!file.packing) return;
    options_.kv_quantization = file.packing;
    options_.quantized_kv_start = 0;
  }

  const std::shared_ptr<SessionState> session_;
  const std::shared_ptr<ReplyControl> control_;
  std::vector<uint32_t> tokens_;
  GenerationOptions options_;
  const std::shared_ptr<ModelState> draft_model_;  // nothing if none was given
  const std::optional<PromptCacheFile> before_;
};

class LogitsTask : public CallTask {
 public:
  LogitsTask(
      Addon& addon, CallId id, std::shared_ptr<SessionState> session,
      std::shared_ptr<ReplyControl> control, std::vector<uint32_t> tokens,
      std::vector<PromptImage> images)
      : CallTask(addon, id),
        session_(std::move(session)),
        control_(std::move(control)),
        tokens_(std::move(tokens)),
        images_(std::move(images)) {}

  void cancel() override { control_->cancelled = true; }

 protected:
  bool advance() override {
    if (control_->cancelled) throw EngineError("cancelled", "the session was cancelled");
    open_cache(*session_);
    const auto images = see(*session_->model, images_);
    auto values = all_logits(*session_->model, *session_->cache, tokens_, images);
    succeed([values = std::move(values)](Napi::Env env) { return to_js(env, values); });
    return false;
  }

 private:
  const std::shared_ptr<SessionState> session_;
  const std::shared_ptr<ReplyControl> control_;
  std::vector<uint32_t> tokens_;
  const std::vector<PromptImage> images_;
};

/// Texts as JavaScript gives them.
struct TextsArgument {
  std::vector<uint32_t> tokens, segments, lengths;
};

/// Reads texts, and resolves to what `ask` makes of them.
class EncodeTask : public CallTask {
 public:
  using Ask = std::function<mx::array(const Embedder&, const Texts&)>;

  EncodeTask(
      Addon& addon, CallId id, std::shared_ptr<ModelState> model, TextsArgument texts, Ask ask)
      : CallTask(addon, id),
        model_(std::move(model)),
        texts_(std::move(texts)),
        ask_(std::move(ask)) {}

 protected:
  bool advance() override {
    if (!model_->embedder) throw EngineError("closed", "the model is closed");
    const Texts texts(texts_.tokens, texts_.segments, texts_.lengths);
    succeed([values = mx::to_floats(ask_(*model_->embedder, texts))](Napi::Env env) {
      return to_js(env, values);
    });
    return false;
  }

 private:
  const std::shared_ptr<ModelState> model_;
  const TextsArgument texts_;
  const Ask ask_;
};

/// Bounds what a model remembers of prompts. Resolves to the bytes that it then holds.
class LimitTask : public CallTask {
 public:
  LimitTask(
      Addon& addon, CallId id, std::shared_ptr<ModelState> model, PrefixCache::Limits limits,
      std::optional<PrefixStore::Options> store)
      : CallTask(addon, id), model_(std::move(model)), limits_(limits), store_(std::move(store)) {}

 protected:
  bool advance() override {
    if (!model_->scheduler) throw EngineError("closed", "the model is closed");
    PrefixCache& prefixes = model_->scheduler->prefixes();
    if (store_) prefixes.open_store(*store_);
    prefixes.set_limits(limits_);
    succeed([bytes = static_cast<double>(prefixes.bytes())](Napi::Env env) {
      return Napi::Number::New(env, bytes);
    });
    return false;
  }

 private:
  const std::shared_ptr<ModelState> model_;
  const PrefixCache::Limits limits_;
  const std::optional<PrefixStore::Options> store_;
};

/// Reads a text, a chunk at a time, and writes what the model then keeps into a file of mlx-lm's.
class WriteCacheTask : public CallTask {
 public:
  WriteCacheTask(
      Addon& addon, CallId id, std::shared_ptr<SessionState> session,
      std::shared_ptr<ReplyControl> control, std::vector<uint32_t> tokens,
      GenerationOptions options, std::string file, std::map<std::string, std::string> metadata)
      : CallTask(addon, id),
        session_(std::move(session)),
        control_(std::move(control)),
        tokens_(std::move(tokens)),
        options_(std::move(options)),
        file_(std::move(file)),
        metadata_(std::move(metadata)) {}

  void cancel() override { control_->cancelled = true; }

 protected:
  bool advance() override {
    if (!session_->model) throw EngineError("closed", "the session is closed");
    if (control_->cancelled) throw EngineError("cancelled", "the writing was cancelled");
    PrefixCache& prefixes = session_->scheduler->prefixes();
    if (!reply_) {
      // By itself, as mlx-lm reads the last token: what is packed then is the same.
      if (tokens_.size() > 1) options_.boundaries = {static_cast<int>(tokens_.size()) - 1};
      // A reply leaves the last token to its batch.
      tokens_.push_back(tokens_.back());
      reply_.emplace(
          *session_->model, session_->model->make_cache(), std::move(tokens_), options_, control_,
          ReplyListener());
      reply_->recall(prefixes);
    }
    if (!reply_->is_prefilled()) {
      prefixes.shrink();
      reply_->prefill_chunk(*session_->model, options_.prefill_step_size);
      reply_->remember(prefixes);
      return true;
    }
    write_prompt_cache(reply_->take_timeline().cache, file_, metadata_);
    succeed([](Napi::Env env) { return env.Undefined(); });
    return false;
  }

 private:
  const std::shared_ptr<SessionState> session_;
  const std::shared_ptr<ReplyControl> control_;
  std::vector<uint32_t> tokens_;
  GenerationOptions options_;
  const std::string file_;
  const std::map<std::string, std::string> metadata_;
  std::optional<Reply> reply_;
};

/// Lets a model remember the text of a file. Resolves to the tokens that it then knows of it.
class ReadCacheTask : public CallTask {
 public:
  ReadCacheTask(
      Addon& addon, CallId id, std::shared_ptr<ModelState> model, std::vector<uint32_t> tokens,
      PromptCacheFile file)
      : CallTask(addon, id),
        model_(std::move(model)),
        tokens_(std::move(tokens)),
        file_(std::move(file)) {}

 protected:
  bool advance() override {
    if (!model_->scheduler) throw EngineError("closed", "the model is closed");
    const Cache cache = read_prompt_cache(*model_->model, file_, file_.tokens);
    PrefixCache& prefixes = model_->scheduler->prefixes();
    prefixes.insert(tokens_, {cache, 0, file_.packing}, PrefixCache::Beyond::drop);
    const auto known = prefixes.find(tokens_, 1, file_.packing, file_.tokens);
    succeed([tokens = known ? known->tokens : 0](Napi::Env env) {
      return Napi::Number::New(env, static_cast<double>(tokens));
    });
    return false;
  }

 private:
  const std::shared_ptr<ModelState> model_;
  const std::vector<uint32_t> tokens_;
  const PromptCacheFile file_;
};
