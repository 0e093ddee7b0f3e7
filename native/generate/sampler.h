#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "mlx/ops.h"

/// How the next token is chosen; the defaults switch everything off but the highest logit.
struct SamplingOptions {
  float temperature = 0.0f;
  float top_p = 1.0f;
  int top_k = 0;
  float min_p = 0.0f;
  float xtc_probability = 0.0f;
  float xtc_threshold = 0.1f;
  std::vector<uint32_t> xtc_special_tokens;
  float repetition_penalty = 1.0f;
  int repetition_context_size = 20;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  std::optional<int> penalty_context_size;
  std::vector<std::pair<uint32_t, float>> logit_bias;
  std::optional<uint64_t> seed;
  bool logprobs = false;
  int top_logprobs = 0;
};

/// A chosen token, still to be computed. What was not asked for is empty.
struct Sample {
  mx::array token;         // (1) uint32
  mx::array logprob;       // (1, 1) float32
  mx::array top_tokens;    // (1, k) uint32, in no order
  mx::array top_logprobs;  // (1, k) float32, as top_tokens

  std::vector<mx::array> arrays() const;
};

/// What the choices of a reply so far leave behind for the next one.
struct SamplerState {
  mx::array history;  // (1, n) int32: the tokens that the windowed penalties look back on
  mx::array counts;   // (1, vocab) float32: how often each token came in the reply
  mx::array key;
};

/// Chooses the tokens of one reply. The order is mlx-lm's: logit bias and penalties, then top-p,
/// min-p, XTC and top-k on the probabilities at temperature 1, then the temperature. A seed gives
/// the tokens that mlx-lm draws after `mx.random.seed` with the same number, where the model
/// computes in float32; mlx-lm samples in the model's type, this always in float32.
class Sampler {
 public:
  Sampler(const SamplingOptions& options, int vocab_size, const std::vector<uint32_t>& prompt);

  /// Whether nothing but the highest logit counts, and nothing but the token is asked for.
  bool is_plainly_greedy() const;

  /// Chooses from logits (1, vocab). `previous` is the token chosen last, which may still be
  /// computing; empty at the first call.
  Sample operator()(const mx::array& logits, const mx::array& previous);

  /// Whether both choose alike, but for the seed, and by nothing but logits.
  bool draws_like(const Sampler& other) const;
  /// Draws for samplers that all `draw_like` the first, from logits (n, vocab): (n) uint32, for
  /// each what it would draw alone. Only the random numbers take an op for each.
  static mx::array draw_together(std::span<Sampler* const> samplers, const mx::array& logits);

  const SamplerState& state() const { return state_; }
  /// Goes back to where the choice was made that left this behind.
  void set_state(const SamplerState& state) { state_ = state; }

 private:
  mx::array penalize(mx::array logits, const mx::array& previous);
  mx::array filter(mx::array logprobs);
  mx::array tempered_choices(const mx::array& logprobs);
  mx::array next_key();

  const SamplingOptions options_;
  const int vocab_size_;
  mx::array bias_;  // (1, vocab)
  int longest_window_ = 0;
  SamplerState state_;
};
