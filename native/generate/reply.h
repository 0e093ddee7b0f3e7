#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine_error.h"
#include "generate/constraint.h"
#include "generate/prefix_cache.h"
#include "generate/sampler.h"
#include "generate/speculation.h"
#include "generate/verification.h"
#include "models/model.h"

/// A token that was delivered; the log-probabilities only if asked for.
struct TokenEvent {
  uint32_t token;
  float logprob;
  std::vector<std::pair<uint32_t, float>> top_logprobs;  // most probable first
};

/// An image of a prompt, in the place of some of its tokens.
struct PromptImage {
  int start = 0;
  int stop = 0;
  std::vector<float> pixels;
  mx::Shape shape;               // (H, W, 3)
  std::vector<uint32_t> digest;  // of its pixels
};

/// What a model that sees makes of the images that begin from `start` to `stop`, with their places
/// behind `start`.
std::vector<SeenImage> see(
    const Model& model, std::span<const PromptImage> images, int start = 0,
    int stop = std::numeric_limits<int>::max());

/// The images that a model takes; no size if it takes none.
struct ImageFormat {
  int size = 0;  // pixels along an edge
  int tokens = 0;

  static ImageFormat of(const Model& model) {
    if (!model.vision) return {};
    return {model.vision->image_size(), model.vision->tokens()};
  }
};

struct GenerationOptions {
  int max_tokens = 1;
  std::vector<uint32_t> stop_tokens;
  int prefill_step_size = 2048;
  int priority = 0;                               // higher comes sooner
  std::optional<KVQuantization> kv_quantization;  // of the cache, once it holds
  int quantized_kv_start = 0;                     // so many tokens
  int max_kv_size = 0;                            // tokens that it keeps; 0 is all
  size_t cache_bytes = 0;                         // that it may take, as far as is known
  size_t memory_limit = 0;                        // bytes; above it newcomers wait, 0 for none
  bool use_prefix_cache = true;
  int tokens_before = 0;            // that the cache holds before the prompt
  std::vector<PromptImage> images;  // in the order of their places
  std::vector<int> boundaries;      // places of the prompt where a later one may part from it
  SpeculationOptions speculation;
  SamplingOptions sampling;
  std::shared_ptr<const Grammar> grammar;  // nothing for a free reply
  uint32_t digest = 0;  // of prompt and options: the same in all processes that share the model
};

struct GenerationStats {
  const char* finish_reason = "length";  // or "stop", "cancelled"
  int prompt_tokens = 0;
  int cached_tokens = 0;      // of the prompt, that were not read again
  int completion_tokens = 0;  // the stop token included
  int draft_tokens = 0;       // that were guessed before they were chosen
  int accepted_tokens = 0;    // of these, that were chosen
  double prompt_ms = 0;       // start to first token
  double decode_ms = 0;       // first token to last
  double graph_ms = 0;        // host time of building graphs in decode, a share of the batch's
};

/// What any thread may ask of a reply; heeded before its next step.
struct ReplyControl {
  std::atomic<bool> cancelled = false;
  std::atomic<bool> paused = false;  // its reader is too slow
};

/// Who hears of a reply, on the inference thread; its last word is one of the last two.
struct ReplyListener {
  std::function<void(TokenEvent)> on_token;
  std::function<void(const GenerationStats&)> on_end;
  std::function<void(const EngineError&)> on_error;
};

/// Where a reply stands.
struct Timeline {
  Cache cache;
  mx::array token;               // (1) uint32, what to append next; may still be computing
  std::optional<Sample> unread;  // the choice of that token, unless the prompt ends with it
};

/// One reply in the making: a prompt that is read in chunks, then a token at a time, as a row of a
/// batch.
class Reply {
 public:
  /// `cache` may hold tokens before the prompt.
  Reply(
      const Model& model, Cache cache, std::vector<uint32_t> prompt, GenerationOptions options,
      std::shared_ptr<const ReplyControl> control, ReplyListener listener);

  const GenerationOptions& options() const { return options_; }
  bool is_cancelled() const { return control_->cancelled; }
  bool is_paused() const { return control_->paused; }
  /// Whether its cache is no row of another one.
  bool is_solo() const { return options_.max_kv_size > 0; }

  /// Notes that its turn has come.
  void start();
  /// Whether the cache holds all of the prompt but its last token, whose logits are wanted.
  bool is_prefilled() const { return cached_ + 1 >= prompt_length_; }
  /// Whether its cache holds all that others of the same text would.
  bool uses_prefixes() const { return options_.use_prefix_cache && options_.max_kv_size == 0; }
  /// Begins behind what is known of the prompt, unless it has begun already.
  void recall(PrefixCache& prefixes);
  /// Tokens of the next chunk of the prompt, at most so many; it depends on no other reply.
  int chunk_length(int most_tokens) const;
  /// Reads that chunk.
  void prefill_chunk(const Model& model, int most_tokens);
  /// Remembers what has been read of the prompt.
  void remember(PrefixCache& prefixes) const;
  /// Whether the cache holds no draft behind the end of the reply.
  bool knows_cached_text() const { return cached_ <= tokens_.size(); }
  /// The text that the cache holds, where that is known.
  PrefixCache::Tokens cached_text() const { return std::span(keys_).first(cached_); }

  /// How the cache is to be packed at its present length.
  std::optional<KVQuantization> wanted_quantization() const;
  /// Tokens that the cache holds.
  size_t cached() const { return cached_; }
  /// Counts the tokens that the batch has appended.
  void count_appended(int tokens) { cached_ += static_cast<size_t>(tokens); }
  void pack_cache();
  /// Hands out the timeline, and takes it back.
  Timeline take_timeline() { return std::exchange(timeline_, {}); }
  void put_timeline(Timeline timeline) { timeline_ = std::move(timeline); }

  /// Chooses from logits (1, vocab) the token behind `previous`, which is empty at the first one.
  Sample sample(const mx::array& logits, const mx::array& previous);
  /// Whether the choice is the highest logit and nothing else is asked for.
  bool is_plainly_greedy() const { return !constraint_ && sampler_.is_plainly_greedy(); }
  /// Whether a choice must wait until the one before it was delivered.
  bool is_constrained() const { return constraint_ != nullptr; }
  Sampler& sampler() { return sampler_; }
  const Sampler& sampler() const { return sampler_; }

  /// The prompt and what was delivered of the reply.
  Text text() const { return tokens_; }
  /// How many of these were delivered.
  int delivered() const { return stats_.completion_tokens; }
  /// What drafts for it, if anything does.
  Speculation* speculation() const { return speculation_.get(); }
  /// How many tokens may be drafted behind `appended` ones that the cache does not hold yet.
  int room_for_drafts(int appended) const;
  void count_drafts(const Verdict& verdict);

  /// Whether the token to be delivered next is the last that was asked for.
  bool is_at_last() const { return stats_.completion_tokens + 1 == options_.max_tokens; }
  /// Delivers a token, but no stop token; gives why the reply ends with it, or nothing if it goes
  /// on.
  const char* deliver(uint32_t token, const Sample& sample);
  void add_graph_ms(double milliseconds) { stats_.graph_ms += milliseconds; }

  /// The last word; only the first one is heard.
  bool has_ended() const { return has_ended_; }
  void end(const char* finish_reason);
  void fail(const EngineError& error);

 private:
  bool is_complete_with(uint32_t token);
  std::optional<PrefixCache::Prefix> find_prefix(PrefixCache& prefixes, size_t length) const;

  using Clock = std::chrono::steady_clock;

  Timeline timeline_;
  std::vector<uint32_t> tokens_;  // of the prompt, and those that were delivered
  std::vector<uint32_t> keys_;    // the same, but what tells images apart in the place of theirs
  const size_t prompt_length_;
  const GenerationOptions options_;
  const std::shared_ptr<const ReplyControl> control_;
  const ReplyListener listener_;

  size_t cached_ = 0;  // tokens
  Sampler sampler_;
  const std::unique_ptr<Constraint> constraint_;
  const std::unique_ptr<Speculation> speculation_;
  GenerationStats stats_;
  Clock::time_point started_;
  Clock::time_point first_token_;
  bool has_ended_ = false;
};
