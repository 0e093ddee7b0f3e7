#include "bridge/grammar_calls.h"

#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "bridge/values.h"

namespace {

using Table = std::shared_ptr<const TokenTable>;
/// A compiled grammar and how many tokens it knows.
struct Compiled {
  std::shared_ptr<const Grammar> grammar;
  size_t vocab_size;
};
using GrammarPart = std::variant<Table, Compiled>;

/// What JavaScript holds of a table or a grammar.
Napi::Value to_external(Napi::Env env, GrammarPart part) {
  return Napi::External<GrammarPart>::New(
      env, new GrammarPart(std::move(part)),
      [](Napi::BasicEnv, GrammarPart* owned) { delete owned; });
}

template <typename Kind>
const Kind& to_part(const Napi::Value& value, const char* name) {
  const GrammarPart* part =
      value.IsExternal() ? value.As<Napi::External<GrammarPart>>().Data() : nullptr;
  if (!part || !std::holds_alternative<Kind>(*part)) {
    refuse_argument(std::string(name) + " is none of this addon");
  }
  return std::get<Kind>(*part);
}

/// Makes a part on a thread of Node's pool: neither JavaScript nor replies wait for it.
class PartWorker : public Napi::AsyncWorker {
 public:
  PartWorker(Napi::Env env, std::function<GrammarPart()> make)
      : Napi::AsyncWorker(env, "mlx-llm-client"),
        make_(std::move(make)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      part_ = make_();
    } catch (...) {
      error_ = current_engine_error();
    }
  }

  void OnOK() override {
    if (error_) {
      deferred_.Reject(to_js_error(Env(), *error_).Value());
    } else {
      deferred_.Resolve(to_external(Env(), std::move(part_)));
    }
  }

 private:
  const std::function<GrammarPart()> make_;
  const Napi::Promise::Deferred deferred_;
  GrammarPart part_;
  std::optional<EngineError> error_;
};

Napi::Value start(Napi::Env env, std::function<GrammarPart()> make) {
  auto* worker = new PartWorker(env, std::move(make));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

/// From a `NativeTokens`.
TokenBytes to_token_bytes(const Napi::Value& value) {
  if (!value.IsObject()) refuse_argument("tokens must be an object");
  const auto object = value.As<Napi::Object>();
  const Napi::Value bytes = object.Get("bytes");
  if (!bytes.IsTypedArray() || bytes.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    refuse_argument("bytes must be a Uint8Array");
  }
  const auto data = bytes.As<Napi::Uint8Array>();
  TokenBytes tokens;
  tokens.bytes.assign(data.Data(), data.Data() + data.ElementLength());
  tokens.lengths = to_tokens(object.Get("lengths"), "lengths", std::numeric_limits<int>::max());
  const auto count = static_cast<int>(tokens.lengths.size());
  tokens.ends = to_tokens(object.Get("ends"), "ends", count);
  const auto sum = std::accumulate(tokens.lengths.begin(), tokens.lengths.end(), uint64_t{0});
  if (sum != tokens.bytes.size()) refuse_argument("lengths must add up to that of bytes");
  return tokens;
}

std::string to_text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) refuse_argument(std::string(name) + " must be a text");
  return value.As<Napi::String>();
}

}  // namespace

Napi::Value make_token_table(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), [&] {
    return start(info.Env(), [tokens = to_token_bytes(info[0])]() -> GrammarPart {
      return std::make_shared<const TokenTable>(tokens);
    });
  });
}

Napi::Value compile_grammar(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), [&] {
    return start(
        info.Env(),
        [table = to_part<Table>(info[0], "table"), type = to_text(info[1], "type"),
         text = to_text(info[2], "text")]() -> GrammarPart {
          return Compiled{
              std::make_shared<const Grammar>(table->compile(type, text)), table->vocab_size()};
        });
  });
}

Napi::Value grammar_accepts(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto& [grammar, vocab_size] = to_part<Compiled>(info[0], "grammar");
    const auto tokens = to_tokens(info[1], "tokens", static_cast<int>(vocab_size));
    return Napi::Boolean::New(info.Env(), grammar->clone().accepts(tokens));
  });
}

std::shared_ptr<const Grammar> to_grammar(const Napi::Value& value, int vocab_size) {
  const auto& [grammar, size] = to_part<Compiled>(value, "grammar");
  if (size != static_cast<size_t>(vocab_size)) {
    refuse_argument("grammar was made for the tokens of another model");
  }
  return grammar;
}
