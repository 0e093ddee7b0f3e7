#include "generate/generation.h"

#include <algorithm>
#include <span>

#include "mlx/memory.h"

using mx::array;

namespace {

// MLX keeps freed buffers for reuse. Prefill leaves large ones that decode never asks for, and
// decode leaves a new size whenever the cache grows.
constexpr int tokens_between_cache_clears = 256;

array as_batch(std::span<const uint32_t> tokens) {
  return mx::from_data(tokens, {1, static_cast<int>(tokens.size())});
}

double milliseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

void eval_state(const Cache& cache) {
  std::vector<array> state;
  for (size_t layer = 0; layer < cache.size(); layer++) cache[layer].append_state(state);
  mx::eval(state);
}

}  // namespace

Generation::Generation(
    std::shared_ptr<const Model> model, std::shared_ptr<Cache> cache, std::vector<uint32_t> prompt,
    GenerationOptions options, const std::atomic<bool>& cancelled,
    std::function<void(TokenEvent)> on_token)
    : model_(std::move(model)),
      cache_(std::move(cache)),
      prompt_(std::move(prompt)),
      options_(std::move(options)),
      cancelled_(cancelled),
      on_token_(std::move(on_token)) {
  stats_.prompt_tokens = static_cast<int>(prompt_.size());
}

bool Generation::step() {
  if (prefilled_ == 0 && !current_) started_ = Clock::now();
  if (cancelled_) return finish("cancelled");
  if (prefilled_ + 1 < prompt_.size()) {
    prefill_chunk();
    return true;
  }
  if (!current_) {
    current_ = forward(as_batch(std::span(prompt_).last(1)), {});
    prefilled_ = prompt_.size();
  }

  // Queue the next token before this one is read; the last one needs no successor.
  std::optional<Sample> next;
  const bool is_last = stats_.completion_tokens + 1 == options_.max_tokens;
  if (!is_last) {
    next = forward(mx::reshape(current_->token, {1, 1}), current_->token);
  }

  TokenEvent event = read(*current_);
  const auto now = Clock::now();
  if (stats_.completion_tokens == 0) {
    first_token_ = now;
    stats_.prompt_ms = milliseconds(now - started_);
  }
  stats_.decode_ms = milliseconds(now - first_token_);
  if (stats_.completion_tokens % tokens_between_cache_clears == 0) mx::clear_cache();
  stats_.completion_tokens += 1;
  if (is_stop(event.token)) return finish("stop");
  on_token_(std::move(event));
  if (is_last) return finish("length");
  current_ = std::move(next);
  return true;
}

bool Generation::finish(const char* reason) {
  stats_.finish_reason = reason;
  // What is queued may still be computing; nothing of it may outlive the cache.
  mx::synchronize();
  current_.reset();
  return false;
}

void Generation::prefill_chunk() {
  // The last token is left for `forward`: only it needs logits.
  const size_t remaining = prompt_.size() - 1 - prefilled_;
  const size_t length = std::min(remaining, static_cast<size_t>(options_.prefill_step_size));
  (*model_)(as_batch(std::span(prompt_).subspan(prefilled_, length)), *cache_);
  eval_state(*cache_);
  mx::clear_cache();
  prefilled_ += length;
}

Sample Generation::forward(const array& tokens, const array& previous) {
  const auto begin = Clock::now();
  const array logits = model_->logits((*model_)(tokens, *cache_));  // (1, vocab)
  if (!sampler_) sampler_.emplace(options_.sampling, model_->vocab_size(), prompt_);
  Sample sample = (*sampler_)(logits, previous);
  if (previous) stats_.graph_ms += milliseconds(Clock::now() - begin);
  mx::async_eval(sample.arrays());
  return sample;
}

TokenEvent Generation::read(const Sample& sample) const {
  TokenEvent event{sample.token.item_uint32(), 0.0f, {}};
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

bool Generation::is_stop(uint32_t token) const {
  return std::ranges::find(options_.stop_tokens, token) != options_.stop_tokens.end();
}

std::vector<float> all_logits(
    const Model& model, Cache& cache, const std::vector<uint32_t>& tokens) {
  return mx::to_floats(model.logits(model(as_batch(tokens), cache)));
}
