#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <tuple>

using mx::array;

namespace {

// Below this the scaled log-probabilities of any two tokens lie too far apart to draw the lesser.
constexpr float lowest_temperature = 1e-6f;

constexpr float infinity = std::numeric_limits<float>::infinity();

array negative_infinity() { return mx::scalar(-infinity, mx::float32); }

array row(const std::vector<int32_t>& tokens) {
  return mx::from_data(std::span<const int32_t>(tokens), {1, static_cast<int>(tokens.size())});
}

array last(const array& a, int count) {
  const int size = a.dim(1);
  return size <= count ? a : mx::slice(a, 1, size - count, size);
}

/// How often each token of `tokens` (1, n) occurs, (1, vocab).
array count(const array& tokens, int vocab_size) {
  const array ones = mx::ones({1, tokens.dim(1)}, mx::float32);
  return mx::scatter_add_axis(mx::zeros({1, vocab_size}, mx::float32), tokens, ones, 1);
}

/// Keeps the smallest set of tokens that holds `top_p` of the mass:
/// https://arxiv.org/abs/1904.09751
array apply_top_p(const array& logprobs, float top_p) {
  const array sorted = mx::sort(logprobs, -1);
  const array probs = mx::exp(sorted);
  const array mass_above = mx::cumsum(probs, -1, /* reverse */ true, /* inclusive */ false);
  const array total = mx::slice(mass_above, 1, 0, 1) + mx::slice(probs, 1, 0, 1);
  const array dropped = mx::sum(mx::greater_equal(mass_above, total * top_p), -1);
  const array threshold = mx::take_along_axis(sorted, dropped, -1);
  return mx::where(mx::less(logprobs, threshold), negative_infinity(), logprobs);
}

/// Drops what is less probable than `min_p` times the best: https://arxiv.org/abs/2407.01082
array apply_min_p(const array& logprobs, float min_p) {
  const array threshold = mx::max(logprobs, -1) + std::log(min_p);
  return mx::where(mx::less(logprobs, threshold), negative_infinity(), logprobs);
}

/// With some probability drops every token above the threshold but the least of them, which
/// makes replies less predictable.
array apply_xtc(const array& logprobs, const SamplingOptions& options, const array& key) {
  const array probs = mx::softmax(logprobs, -1);
  const array above = mx::greater(probs, mx::scalar(options.xtc_threshold, mx::float32));
  const array least = mx::min(mx::where(above, probs, mx::scalar(infinity, mx::float32)), -1);
  array excluded = mx::greater(probs, least);
  if (!options.xtc_special_tokens.empty()) {
    const array special =
        row({options.xtc_special_tokens.begin(), options.xtc_special_tokens.end()});
    const array kept = mx::zeros({1, special.dim(1)}, mx::bool_);
    excluded = mx::put_along_axis(excluded, special, kept, 1);
  }
  const array skip =
      mx::greater(mx::random_uniform(key), mx::scalar(options.xtc_probability, mx::float32));
  return mx::where(skip, logprobs, mx::where(excluded, negative_infinity(), logprobs));
}

array apply_top_k(const array& logprobs, int top_k) {
  const array order = mx::argpartition(-logprobs, top_k - 1, -1);
  const array rest = mx::slice(order, 1, top_k, logprobs.dim(1));
  return mx::put_along_axis(logprobs, rest, negative_infinity(), 1);
}

}  // namespace

std::vector<array> Sample::arrays() const {
  std::vector<array> result;
  for (const array& a : {token, logprob, top_tokens, top_logprobs}) {
    if (a) result.push_back(a);
  }
  return result;
}

Sampler::Sampler(
    const SamplingOptions& options, int vocab_size, const std::vector<uint32_t>& prompt)
    : options_(options), vocab_size_(vocab_size) {
  if (!options.logit_bias.empty()) {
    std::vector<float> bias(static_cast<size_t>(vocab_size), 0.0f);
    for (const auto& [token, value] : options.logit_bias) bias[token] += value;
    bias_ = mx::from_data(std::span<const float>(bias), {1, vocab_size});
  }
  const bool counts_tokens = options.presence_penalty != 0 || options.frequency_penalty != 0;
  if (options.repetition_penalty != 1) longest_window_ = options.repetition_context_size;
  if (counts_tokens && options.penalty_context_size) {
    longest_window_ = std::max(longest_window_, *options.penalty_context_size);
  }
  if (counts_tokens && !options.penalty_context_size) {
    state_.counts = mx::zeros({1, vocab_size}, mx::float32);
  }
  if (longest_window_ > 0) {
    const size_t kept = std::min(prompt.size(), static_cast<size_t>(longest_window_));
    state_.history = row({prompt.end() - static_cast<ptrdiff_t>(kept), prompt.end()});
  }
  if (options.temperature >= lowest_temperature) {
    std::random_device entropy;
    state_.key = mx::random_key(
        options.seed ? *options.seed : (uint64_t{entropy()} << 32 | uint64_t{entropy()}));
  }
}

bool Sampler::is_plainly_greedy() const {
  return options_.temperature < lowest_temperature && !options_.logprobs && !bias_ &&
         !state_.history && !state_.counts;
}

Sample Sampler::operator()(const array& raw_logits, const array& previous) {
  const array logits = penalize(mx::astype(raw_logits, mx::float32), previous);
  const bool greedy = options_.temperature < lowest_temperature;
  Sample sample;
  if (greedy && !options_.logprobs) {
    sample.token = mx::argmax(logits, -1);
    return sample;
  }
  const array logprobs = logits - mx::logsumexp(logits, -1);
  if (greedy) {
    sample.token = mx::argmax(logits, -1);
  } else {
    const array choices = tempered_choices(logprobs);
    sample.token = mx::categorical(choices, next_key());
  }
  if (options_.logprobs) {
    sample.logprob = mx::take_along_axis(logprobs, mx::expand_dims(sample.token, 1), 1);
    if (const int k = std::min(options_.top_logprobs, vocab_size_); k > 0) {
      sample.top_tokens = mx::slice(mx::argpartition(-logprobs, k - 1, -1), 1, 0, k);
      sample.top_logprobs = mx::take_along_axis(logprobs, sample.top_tokens, 1);
    }
  }
  return sample;
}

bool Sampler::draws_like(const Sampler& other) const {
  const auto is_plain = [](const Sampler& sampler) {
    const auto& [options, state] = std::tie(sampler.options_, sampler.state_);
    return options.temperature >= lowest_temperature && options.xtc_probability <= 0 &&
           !options.logprobs && !sampler.bias_ && !state.history && !state.counts;
  };
  const auto filters = [](const SamplingOptions& options) {
    return std::tie(options.temperature, options.top_p, options.min_p, options.top_k);
  };
  return is_plain(*this) && is_plain(other) && filters(options_) == filters(other.options_);
}

array Sampler::draw_together(std::span<Sampler* const> samplers, const array& raw_logits) {
  const array logits = mx::astype(raw_logits, mx::float32);
  const array choices = samplers[0]->tempered_choices(logits - mx::logsumexp(logits, -1));
  std::vector<array> tokens;
  for (Sampler* sampler : samplers) {
    const int row = static_cast<int>(tokens.size());
    tokens.push_back(mx::categorical(mx::slice(choices, 0, row, row + 1), sampler->next_key()));
  }
  return mx::concatenate(tokens, 0);
}

array Sampler::tempered_choices(const array& logprobs) {
  return filter(logprobs) * (1.0f / options_.temperature);
}

array Sampler::penalize(array logits, const array& previous) {
  if (bias_) logits = logits + bias_;
  const array token = previous ? mx::reshape(mx::astype(previous, mx::int32), {1, 1}) : array();
  if (state_.history && token) {
    const array parts[] = {state_.history, token};
    state_.history = last(mx::concatenate(parts, 1), longest_window_);
  }
  if (state_.counts && token) {
    state_.counts = mx::scatter_add_axis(state_.counts, token, mx::ones({1, 1}, mx::float32), 1);
  }
  if (options_.repetition_penalty != 1) {
    // https://arxiv.org/abs/1909.05858; sign-aware, so that it always lowers the logit.
    const float penalty = options_.repetition_penalty;
    const array tokens = last(state_.history, options_.repetition_context_size);
    const array chosen = mx::take_along_axis(logits, tokens, 1);
    const array lowered = mx::where(
        mx::less(chosen, mx::scalar(0.0f, mx::float32)), chosen * penalty, chosen / penalty);
    logits = mx::put_along_axis(logits, tokens, lowered, 1);
  }
  if (options_.presence_penalty != 0 || options_.frequency_penalty != 0) {
    const array counts =
        state_.counts ? state_.counts
                      : count(last(state_.history, *options_.penalty_context_size), vocab_size_);
    if (options_.presence_penalty != 0) {
      const array present = mx::greater(counts, mx::scalar(0.0f, mx::float32));
      logits = logits - mx::astype(present, mx::float32) * options_.presence_penalty;
    }
    if (options_.frequency_penalty != 0) logits = logits - counts * options_.frequency_penalty;
  }
  return logits;
}

array Sampler::filter(array logprobs) {
  if (options_.top_p < 1) logprobs = apply_top_p(logprobs, options_.top_p);
  if (options_.min_p > 0) logprobs = apply_min_p(logprobs, options_.min_p);
  if (options_.xtc_probability > 0) logprobs = apply_xtc(logprobs, options_, next_key());
  if (options_.top_k > 0 && options_.top_k < vocab_size_) {
    logprobs = apply_top_k(logprobs, options_.top_k);
  }
  return logprobs;
}

array Sampler::next_key() {
  auto [state, key] = mx::random_split(state_.key);
  state_.key = std::move(state);
  return key;
}
