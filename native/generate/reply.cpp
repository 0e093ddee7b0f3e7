#include "generate/reply.h"

#include <algorithm>
#include <functional>

#include "generate/milliseconds.h"
#include "mlx/memory.h"

namespace {

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

/// By what a text is remembered: no token is as high as what stands for an image.
std::vector<uint32_t> to_keys(std::vector<uint32_t> tokens, std::span<const PromptImage> images) {
  constexpr uint32_t above_tokens = uint32_t{1} << 31;
  for (const PromptImage& image : images) {
    for (int i = image.start; i < image.stop; i++) {
      const size_t word = static_cast<size_t>(i - image.start) % image.digest.size();
      tokens[static_cast<size_t>(i)] = image.digest[word] | above_tokens;
    }
  }
  return tokens;
}

}  // namespace

std::vector<SeenImage> see(
    const Model& model, std::span<const PromptImage> images, int start, int stop) {
  std::vector<SeenImage> seen;
  for (const PromptImage& image : images) {
    if (image.start < start || image.start >= stop) continue;
    const mx::array pixels = mx::from_data(std::span(image.pixels), image.shape);
    seen.push_back({image.start - start, (*model.vision)(pixels)});
  }
  return seen;
}

Reply::Reply(
    const Model& model, Cache cache, std::vector<uint32_t> prompt, GenerationOptions options,
    std::shared_ptr<const ReplyControl> control, ReplyListener listener)
    : tokens_(std::move(prompt)),
      keys_(to_keys(tokens_, options.images)),
      prompt_length_(tokens_.size()),
      options_(std::move(options)),
      control_(std::move(control)),
      listener_(std::move(listener)),
      sampler_(options_.sampling, model.vocab_size(), tokens_),
      constraint_(Constraint::of(options_.grammar.get(), model.vocab_size())),
      // Where a grammar says what may come, each choice waits for the one before it.
      speculation_(
          is_solo() || constraint_ ? nullptr : Speculation::of(options_.speculation, model)) {
  timeline_ = {std::move(cache), mx::from_data(std::span(tokens_).last(1)), {}};
  if (options_.max_kv_size > 0) timeline_.cache.limit(options_.max_kv_size);
  stats_.prompt_tokens = options_.tokens_before + static_cast<int>(prompt_length_);
  stats_.cached_tokens = options_.tokens_before;
}

void Reply::recall(PrefixCache& prefixes) {
  if (!uses_prefixes() || cached_ > 0) return;
  auto found = find_prefix(prefixes, prompt_length_ - 1);  // the last is left for the batch
  // All of its tokens tell an image from another one, some of them might not.
  for (auto image = options_.images.rbegin(); image != options_.images.rend(); image++) {
    const auto [start, stop] = std::pair<size_t, size_t>(image->start, image->stop);
    if (found && start < found->tokens && found->tokens < stop)
      found = find_prefix(prefixes, start);
  }
  if (!found) return;
  timeline_.cache = std::move(found->cache);
  cached_ = found->tokens;
  stats_.cached_tokens = static_cast<int>(cached_);
}

/// What is known of the first `length` tokens of the prompt.
std::optional<PrefixCache::Prefix> Reply::find_prefix(PrefixCache& prefixes, size_t length) const {
  const auto text = std::span(keys_).first(length);
  const auto& packing = options_.kv_quantization;
  const auto packed_from = static_cast<size_t>(std::max(1, options_.quantized_kv_start));
  const auto dense = packing ? text.first(std::min(text.size(), packed_from - 1)) : text;
  const int room = static_cast<int>(prompt_length_);
  std::optional<PrefixCache::Prefix> found;
  if (packing) found = prefixes.find(text, packed_from, packing, room);
  if (!found) found = prefixes.find(dense, 1, std::nullopt, room);
  return found;
}

int Reply::chunk_length(int most_tokens) const {
  // The last token is left for the batch: only it needs logits.
  size_t end = std::min(prompt_length_ - 1, cached_ + static_cast<size_t>(most_tokens));
  for (const int boundary : options_.boundaries) {
    const auto place = static_cast<size_t>(boundary);
    if (place > cached_) end = std::min(end, place);
  }
  for (const PromptImage& image : options_.images) {
    const auto [start, stop] = std::pair<size_t, size_t>(image.start, image.stop);
    // Its tokens look at each other.
    if (start < end && end < stop) end = start > cached_ ? start : stop;
  }
  return static_cast<int>(end - cached_);
}

void Reply::prefill_chunk(const Model& model, int most_tokens) {
  const int length = chunk_length(most_tokens);
  const auto chunk = std::span(tokens_).subspan(cached_, static_cast<size_t>(length));
  const mx::array tokens = mx::from_data(chunk, {1, length});
  const int start = static_cast<int>(cached_);
  const std::vector<SeenImage> images = see(model, options_.images, start, start + length);
  const mx::array hidden = images.empty() ? model(tokens, timeline_.cache)
                                          : model.read_images(tokens, images, timeline_.cache);
  const auto following = std::span(tokens_).subspan(cached_ + 1, chunk.size());
  cached_ += chunk.size();
  if (speculation_) speculation_->hear(hidden, mx::from_data(following), cached_ + 1);
  pack_cache();
  mx::eval(timeline_.cache.arrays());
  // MLX keeps freed buffers for reuse. Prefill leaves large ones that decode never asks for.
  mx::clear_cache();
}

void Reply::remember(PrefixCache& prefixes) const {
  if (!uses_prefixes()) return;
  const auto beyond = is_prefilled() ? PrefixCache::Beyond::keep : PrefixCache::Beyond::drop;
  prefixes.insert(cached_text(), {timeline_.cache, 0, wanted_quantization()}, beyond);
}

void Reply::start() { started_ = Clock::now(); }

std::optional<KVQuantization> Reply::wanted_quantization() const {
  const int tokens = options_.tokens_before + static_cast<int>(cached_);
  const bool is_long_enough = tokens > 0 && tokens >= options_.quantized_kv_start;
  return is_long_enough ? options_.kv_quantization : std::nullopt;
}

void Reply::pack_cache() {
  if (const auto quantization = wanted_quantization()) timeline_.cache.quantize(*quantization);
}

Sample Reply::sample(const mx::array& logits, const mx::array& previous) {
  return sampler_(constraint_ ? constraint_->apply(logits) : logits, previous);
}

int Reply::room_for_drafts(int appended) const {
  // A pass chooses one token more than were drafted.
  int room = options_.max_tokens - stats_.completion_tokens - 1;
  if (options_.kv_quantization && !wanted_quantization()) {
    // Packing begins between two passes.
    const int tokens = options_.tokens_before + static_cast<int>(cached_);
    room = std::min(room, options_.quantized_kv_start - tokens - appended);
  }
  return room;
}

void Reply::count_drafts(const Verdict& verdict) {
  stats_.draft_tokens += verdict.drafted;
  stats_.accepted_tokens += verdict.accepted();
}

const char* Reply::deliver(uint32_t token, const Sample& sample) {
  const auto now = Clock::now();
  if (stats_.completion_tokens == 0) {
    first_token_ = now;
    stats_.prompt_ms = milliseconds(now - started_);
  }
  stats_.decode_ms = milliseconds(now - first_token_);
  stats_.completion_tokens += 1;
  tokens_.push_back(token);
  keys_.push_back(token);
  if (std::ranges::find(options_.stop_tokens, token) != options_.stop_tokens.end()) return "stop";
  listener_.on_token(to_event(token, sample));
  if (constraint_ && is_complete_with(token)) return "stop";
  return stats_.completion_tokens == options_.max_tokens ? "length" : nullptr;
}

bool Reply::is_complete_with(uint32_t token) {
  try {
    constraint_->read(token);
    return constraint_->is_complete();
  } catch (...) {
    // It is not the failure of the others in its batch.
    fail(current_engine_error());
    return false;
  }
}

void Reply::end(const char* finish_reason) {
  if (std::exchange(has_ended_, true)) return;
  stats_.finish_reason = finish_reason;
  listener_.on_end(stats_);
}

void Reply::fail(const EngineError& error) {
  if (!std::exchange(has_ended_, true)) listener_.on_error(error);
}
