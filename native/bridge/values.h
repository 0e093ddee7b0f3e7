#pragma once

#include <napi.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "engine_error.h"
#include "generate/prompt_cache_file.h"
#include "generate/reply.h"

/// JavaScript values to the engine's and back, as src/mlx/native-types.ts types them. What does not
/// fit is refused with an `EngineError` "invalid_argument".

Config to_config(const Napi::Value& value);
/// A Uint32Array or a list of numbers; each must be a token of the vocabulary.
std::vector<uint32_t> to_tokens(const Napi::Value& value, const char* name, int vocab_size);
/// From `NativePromptCacheLimits`.
PrefixCache::Limits to_prefix_cache_limits(const Napi::Value& value);
/// Nothing unless they name a folder.
std::optional<PrefixStore::Options> to_prefix_store_options(const Napi::Value& value);
/// From a Uint32Array.
std::vector<uint32_t> to_counts(const Napi::Value& value, const char* name);
/// From a `NativePromptCacheFile`.
PromptCacheFile to_prompt_cache_file(const Napi::Value& value);
/// From an object of texts.
std::map<std::string, std::string> to_texts(const Napi::Value& value, const char* name);
/// From a list of `NativeImage` among so many tokens; none unless it is given.
std::vector<PromptImage> to_images(
    const Napi::Value& value, const ImageFormat& format, size_t tokens);
/// From a `NativeSampling`.
GenerationOptions to_generation_options(const Napi::Value& value, int vocab_size);

Napi::Object to_js(Napi::Env env, const GenerationStats& stats);
Napi::Float32Array to_js(Napi::Env env, const std::vector<float>& values);
/// To a `NativeTokenBatch`.
Napi::Object to_js(
    Napi::Env env, const std::vector<TokenEvent>& events, const SamplingOptions& sampling);

Napi::Error to_js_error(Napi::Env env, const EngineError& error);
[[noreturn]] void refuse_argument(const std::string& message);

/// The exception being handled as an engine error. One of JavaScript's own is passed on.
EngineError current_error();

/// Runs the body of a function that JavaScript called; engine errors become JavaScript ones.
template <typename Body>
auto guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (...) {
    throw to_js_error(env, current_error());
  }
}

/// The same for a function that returns a promise: it rejects.
template <typename Body>
Napi::Value guarded_promise(Napi::Env env, Body body) {
  try {
    return body();
  } catch (...) {
    const auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(to_js_error(env, current_error()).Value());
    return deferred.Promise();
  }
}
