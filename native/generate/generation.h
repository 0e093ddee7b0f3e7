#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "generate/sampler.h"
#include "models/model.h"

/// A token that was delivered; the log-probabilities only if asked for.
struct TokenEvent {
  uint32_t token;
  float logprob;
  std::vector<std::pair<uint32_t, float>> top_logprobs;  // most probable first
};

struct GenerationOptions {
  int max_tokens = 1;
  std::vector<uint32_t> stop_tokens;
  int prefill_step_size = 2048;
  SamplingOptions sampling;
};

struct GenerationStats {
  const char* finish_reason = "length";  // or "stop", "cancelled"
  int prompt_tokens = 0;
  int completion_tokens = 0;  // the stop token included
  double prompt_ms = 0;       // start to first token
  double decode_ms = 0;       // first token to last
  double graph_ms = 0;        // host time of building graphs in decode
};

/// One reply in the making. `step` is called until it returns false, always on the inference
/// thread: first a chunk of the prompt at a time, then a token at a time. The graph of a token is
/// queued before the token before it is read, so that the device never waits for the host.
class Generation {
 public:
  Generation(
      std::shared_ptr<const Model> model, std::shared_ptr<Cache> cache,
      std::vector<uint32_t> prompt, GenerationOptions options, const std::atomic<bool>& cancelled,
      std::function<void(TokenEvent)> on_token);

  bool step();
  const GenerationStats& stats() const { return stats_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool finish(const char* reason);
  void prefill_chunk();
  Sample forward(const mx::array& tokens, const mx::array& previous);
  TokenEvent read(const Sample& sample) const;
  bool is_stop(uint32_t token) const;

  std::shared_ptr<const Model> model_;
  std::shared_ptr<Cache> cache_;
  const std::vector<uint32_t> prompt_;
  const GenerationOptions options_;
  const std::atomic<bool>& cancelled_;
  const std::function<void(TokenEvent)> on_token_;

  size_t prefilled_ = 0;
  std::optional<Sampler> sampler_;
  std::optional<Sample> current_;  // queued, not read yet
  GenerationStats stats_;
  Clock::time_point started_;
  Clock::time_point first_token_;
};

/// Logits (L · vocab) of all tokens, appended to the cache.
std::vector<float> all_logits(
    const Model& model, Cache& cache, const std::vector<uint32_t>& tokens);
