#include "generate/reply.h"

#include <algorithm>
#include <functional>
#include <span>

#include "mlx/memory.h"

namespace {

double milliseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

TokenEvent to_event(uint32_t token, const Sample& sample) {
  TokenEvent event{token, 0.0f, {}};
  if (sample.logprob) event.logprob = sample.logprob.item_float32();
  if (sample.top_tokens) {
    const auto tokens = mx::to_uint32s(sample.top_tokens);
    const auto logprobs = mx::to_floats(sample.top_logprobs);
    for (size_t i = 0; i < tokens.size(); i++) {
      event.top_logprobs.emplace_back(tokens[i], logprobs[i]);
    }
    std::ranges::sort(
        event.top_logprobs, std::greater{}, [](const auto& top) { return top.second; });
  }
  return event;
}

}  // namespace

Reply::Reply(
    const Model& model, Cache cache, std::vector<uint32_t> prompt, GenerationOptions options,
    std::shared_ptr<const ReplyControl> control, ReplyListener listener)
    : prompt_(std::move(prompt)),
      options_(std::move(options)),
      control_(std::move(control)),
      listener_(std::move(listener)),
      sampler_(options_.sampling, model.vocab_size(), prompt_) {
  timeline_ = {std::move(cache), mx::from_data(std::span(prompt_).last(1)), {}};
  if (options_.max_kv_size > 0) timeline_.cache.limit(options_.max_kv_size);
  stats_.prompt_tokens = static_cast<int>(prompt_.size());
}

int Reply::chunk_length() const {
  // The last token is left for the batch: only it needs logits.
  const size_t remaining = prompt_.size() - 1 - cached_;
  return static_cast<int>(std::min(remaining, static_cast<size_t>(options_.prefill_step_size)));
}

void Reply::prefill_chunk(const Model& model) {
  const int length = chunk_length();
  const auto chunk = std::span(prompt_).subspan(cached_, static_cast<size_t>(length));
  model(mx::from_data(chunk, {1, length}), timeline_.cache);
  cached_ += chunk.size();
  pack_cache();
  mx::eval(timeline_.cache.arrays());
  // MLX keeps freed buffers for reuse. Prefill leaves large ones that decode never asks for.
  mx::clear_cache();
}

void Reply::start() { started_ = Clock::now(); }

std::optional<KVQuantization> Reply::wanted_quantization() const {
  const bool is_long_enough =
      cached_ > 0 && cached_ >= static_cast<size_t>(options_.quantized_kv_start);
  return is_long_enough ? options_.kv_quantization : std::nullopt;
}

void Reply::pack_cache() {
  if (const auto quantization = wanted_quantization()) timeline_.cache.quantize(*quantization);
}

Sample Reply::sample(const mx::array& logits, const mx::array& previous) {
  return sampler_(logits, previous);
}

bool Reply::deliver(uint32_t token, const Sample& sample) {
  const auto now = Clock::now();
  if (stats_.completion_tokens == 0) {
    first_token_ = now;
    stats_.prompt_ms = milliseconds(now - started_);
  }
  stats_.decode_ms = milliseconds(now - first_token_);
  stats_.completion_tokens += 1;
  if (std::ranges::find(options_.stop_tokens, token) != options_.stop_tokens.end()) return false;
  listener_.on_token(to_event(token, sample));
  return true;
}

void Reply::end(const char* finish_reason) {
  if (std::exchange(has_ended_, true)) return;
  stats_.finish_reason = finish_reason;
  listener_.on_end(stats_);
}

void Reply::fail(const EngineError& error) {
  if (!std::exchange(has_ended_, true)) listener_.on_error(error);
}
