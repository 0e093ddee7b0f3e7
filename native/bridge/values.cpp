#include "bridge/values.h"

#include <cmath>
#include <iomanip>
#include <limits>
#include <sstream>
#include <utility>

#include "bridge/grammar_calls.h"

namespace {

// Enough for any whole number that a double holds.
constexpr int most_digits = 17;
constexpr double most_priority = 100;

Config to_config_at(const Napi::Value& value, int depth) {
  if (depth > 64) throw EngineError("bad_config", "config.json is nested too deeply");
  if (value.IsBoolean()) return Config(value.As<Napi::Boolean>().Value());
  if (value.IsNumber()) return Config(value.As<Napi::Number>().DoubleValue());
  if (value.IsString()) return Config(value.As<Napi::String>().Utf8Value());
  if (value.IsArray()) {
    const Napi::Array entries = value.As<Napi::Array>();
    Config::List list;
    for (uint32_t i = 0; i < entries.Length(); i++) {
      list.push_back(to_config_at(entries.Get(i), depth + 1));
    }
    return Config(std::move(list));
  }
  if (value.IsObject()) {
    const Napi::Object entries = value.As<Napi::Object>();
    Config::Object object;
    const Napi::Array keys = entries.GetPropertyNames();
    for (uint32_t i = 0; i < keys.Length(); i++) {
      const Napi::Value key = keys.Get(i);
      object.emplace(key.ToString().Utf8Value(), to_config_at(entries.Get(key), depth + 1));
    }
    return Config(std::move(object));
  }
  return Config();
}

double to_number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse_argument(std::string(name) + ": a number was expected");
  return value.As<Napi::Number>().DoubleValue();
}

uint32_t check_token(double token, const char* name, int vocab_size) {
  if (!(token >= 0 && token < vocab_size) || token != std::floor(token)) {
    std::ostringstream message;
    message << std::setprecision(most_digits) << name << ": token id " << token
            << " is outside the vocabulary of " << vocab_size;
    refuse_argument(message.str());
  }
  return static_cast<uint32_t>(token);
}

/// Reads the fields of an object.
class Options {
 public:
  explicit Options(const Napi::Value& value, const char* name = "sampling") {
    if (!value.IsObject()) refuse_argument(std::string(name) + " must be an object");
    object_ = value.As<Napi::Object>();
  }

  Napi::Value get(const char* name) const { return object_.Get(name); }
  bool has(const char* name) const { return !get(name).IsUndefined(); }

  std::string text(const char* name) const {
    if (!get(name).IsString()) refuse_argument(std::string(name) + " must be a text");
    return get(name).As<Napi::String>();
  }

  double number(const char* name, double low, double high) const {
    const double value = to_number(get(name), name);
    if (!(value >= low && value <= high)) {
      std::ostringstream message;
      message << std::setprecision(most_digits) << name << " is " << value << ", but must be from "
              << low << " to " << high;
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

  /// 0 if it is absent.
  size_t bytes(const char* name) const {
    constexpr double most = 9007199254740991;  // Number.MAX_SAFE_INTEGER
    return has(name) ? static_cast<size_t>(whole(name, 0, most)) : 0;
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

template <typename T>
std::vector<T> to_numbers(const Napi::Value& value, napi_typedarray_type type, const char* wanted) {
  const bool fits = value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
  if (!fits) refuse_argument(wanted);
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::optional<KVQuantization> to_packing(const Options& options) {
  if (!options.has("kvBits")) return std::nullopt;
  return KVQuantization{
      .group_size = options.integer("kvGroupSize", KVQuantization().group_size, 1),
      .bits = options.integer("kvBits", 1)};
}

std::vector<int> to_boundaries(const Napi::Value& value) {
  if (!value.IsArray()) refuse_argument("boundaries must be a list of numbers of tokens");
  const auto entries = value.As<Napi::Array>();
  std::vector<int> boundaries;
  for (uint32_t i = 0; i < entries.Length(); i++) {
    const double place = to_number(entries.Get(i), "boundaries");
    if (!(place >= 1 && place <= std::numeric_limits<int>::max())) {
      refuse_argument("boundaries must be positive numbers");
    }
    boundaries.push_back(static_cast<int>(place));
  }
  return boundaries;
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

}  // namespace

Napi::Error to_js_error(Napi::Env env, const EngineError& error) {
  Napi::Error js_error = Napi::Error::New(env, error.what());
  js_error.Set("code", error.code());
  return js_error;
}

[[noreturn]] void refuse_argument(const std::string& message) {
  throw EngineError("invalid_argument", message);
}

EngineError current_error() {
  try {
    throw;
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    return current_engine_error();
  }
}

Config to_config(const Napi::Value& value) { return to_config_at(value, 0); }

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

std::vector<uint32_t> to_counts(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    refuse_argument(std::string(name) + " must be a Uint32Array");
  }
  const auto array = value.As<Napi::Uint32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

PrefixCache::Limits to_prefix_cache_limits(const Napi::Value& value) {
  const Options options(value, "limits");
  constexpr double most = 9007199254740991;  // Number.MAX_SAFE_INTEGER
  PrefixCache::Limits limits{.bytes = static_cast<size_t>(options.whole("bytes", 0, most))};
  if (options.has("activeMemory")) {
    limits.active_memory = static_cast<size_t>(options.whole("activeMemory", 0, most));
  }
  return limits;
}

std::optional<PrefixStore::Options> to_prefix_store_options(const Napi::Value& value) {
  const Options options(value, "limits");
  if (!options.has("folder")) return std::nullopt;
  constexpr double most = 9007199254740991;  // Number.MAX_SAFE_INTEGER
  return PrefixStore::Options{
      .folder = options.text("folder"),
      .bytes = static_cast<size_t>(options.whole("folderBytes", 0, most)),
      .fingerprint = options.text("fingerprint")};
}

PromptCacheFile to_prompt_cache_file(const Napi::Value& value) {
  const Options options(value, "promptCacheFile");
  PromptCacheFile result{
      .file = options.text("file"),
      .tokens = options.integer("tokens", 0),
      .packing = to_packing(options),
      .max_kv_size = options.integer("maxKvSize", 0, 1)};
  if (!options.get("layers").IsArray()) refuse_argument("layers must be a list");
  const auto layers = options.get("layers").As<Napi::Array>();
  for (uint32_t i = 0; i < layers.Length(); i++) {
    const Config layer = to_config(layers.Get(i));
    auto& added = result.layers.emplace_back();
    added.kind = layer.text("kind");
    added.window = layer.count("window", 0);
    added.keep = layer.count("keep", 0);
    added.keys = layer.texts("keys");
    added.values = layer.texts("values");
    added.states = layer.texts("states");
    const std::vector<int> borders = layer.counts("order");
    for (size_t border = 1; border < borders.size(); border += 2) {
      added.order.emplace_back(borders[border - 1], borders[border]);
    }
  }
  return result;
}

std::map<std::string, std::string> to_texts(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) refuse_argument(std::string(name) + " must be an object");
  const Napi::Object object = value.As<Napi::Object>();
  const Napi::Array keys = object.GetPropertyNames();
  std::map<std::string, std::string> texts;
  for (uint32_t i = 0; i < keys.Length(); i++) {
    const std::string key = keys.Get(i).ToString();
    texts[key] = Options(value, name).text(key.c_str());
  }
  return texts;
}

std::vector<PromptImage> to_images(
    const Napi::Value& value, const ImageFormat& format, size_t tokens) {
  std::vector<PromptImage> images;
  if (value.IsUndefined()) return images;
  if (!value.IsArray()) refuse_argument("images must be a list");
  if (format.size == 0) refuse_argument("the model reads no images");
  const auto entries = value.As<Napi::Array>();
  for (uint32_t i = 0; i < entries.Length(); i++) {
    const Options options(entries.Get(i), "images");
    auto& image = images.emplace_back();
    image.start = options.integer("start", 0);
    image.stop = image.start + std::min(format.tokens, static_cast<int>(tokens));
    const int first = i == 0 ? 0 : images[i - 1].stop;
    // The last token is read by itself.
    if (image.start < first || static_cast<size_t>(image.stop) >= tokens) {
      refuse_argument("images must lie one behind the other before the last token");
    }
    image.shape = {format.size, format.size, 3};
    image.pixels = to_numbers<float>(
        options.get("pixels"), napi_float32_array, "pixels must be a Float32Array");
    image.digest = to_numbers<uint32_t>(
        options.get("digest"), napi_uint32_array, "digest must be a Uint32Array");
    if (image.pixels.size() != static_cast<size_t>(format.size) * format.size * 3) {
      refuse_argument("pixels must be those of an image of the model's size");
    }
    if (image.digest.empty()) refuse_argument("digest must not be empty");
  }
  return images;
}

GenerationOptions to_generation_options(const Napi::Value& value, int vocab_size) {
  const Options options(value);
  GenerationOptions result;
  result.max_tokens = options.integer("maxTokens", 1);
  result.prefill_step_size = options.integer("prefillStepSize", result.prefill_step_size, 1);
  result.stop_tokens = to_tokens(options.get("stopTokens"), "stopTokens", vocab_size);
  result.priority = static_cast<int>(options.real("priority", 0, -most_priority, most_priority));
  result.kv_quantization = to_packing(options);
  result.quantized_kv_start = options.integer("quantizedKvStart", 0, 0);
  result.max_kv_size = options.integer("maxKvSize", 0, 1);
  result.cache_bytes = options.bytes("cacheBytes");
  result.memory_limit = options.bytes("memoryLimit");
  if (options.has("promptCache")) {
    result.use_prefix_cache = options.get("promptCache").ToBoolean();
  }
  if (options.has("boundaries")) result.boundaries = to_boundaries(options.get("boundaries"));
  if (options.has("promptLookup")) {
    const Options lookup(options.get("promptLookup"), "promptLookup");
    result.speculation.prompt_lookup = {
        .min_ngram = lookup.integer("minNgram", PromptLookupOptions().min_ngram, 1),
        .tokens = lookup.integer("tokens", PromptLookupOptions().tokens, 1),
        .always = lookup.get("always").ToBoolean()};
  }
  if (options.has("mtp")) {
    result.speculation.mtp = {
        .always = Options(options.get("mtp"), "mtp").get("always").ToBoolean()};
  }
  result.speculation.num_draft_tokens =
      options.integer("numDraftTokens", result.speculation.num_draft_tokens, 1);
  result.sampling = to_sampling(options, vocab_size);
  if (options.has("grammar")) result.grammar = to_grammar(options.get("grammar"), vocab_size);
  result.digest = static_cast<uint32_t>(options.integer("digest", 0, 0));
  return result;
}

Napi::Float32Array to_js(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  std::ranges::copy(values, array.Data());
  return array;
}

Napi::Object to_js(Napi::Env env, const GenerationStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("finishReason", stats.finish_reason);
  object.Set("promptTokens", stats.prompt_tokens);
  object.Set("cachedTokens", stats.cached_tokens);
  object.Set("completionTokens", stats.completion_tokens);
  object.Set("draftTokens", stats.draft_tokens);
  object.Set("acceptedTokens", stats.accepted_tokens);
  object.Set("promptMs", stats.prompt_ms);
  object.Set("decodeMs", stats.decode_ms);
  object.Set("graphMs", stats.graph_ms);
  return object;
}

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
