#include "generate/prompt_lookup.h"

#include <algorithm>

namespace {

// How far a match is followed back, and how many are compared: a text of one token repeated has
// as many as it has tokens.
constexpr size_t longest_match = 32;
constexpr int most_candidates = 16;

// What fails soon costs little; what succeeds grows to the most.
constexpr int first_length = 4;

/// How many tokens before two places are the same.
size_t match_length(Text text, size_t place, size_t end) {
  size_t length = 0;
  while (length < longest_match && length < place &&
         text[place - 1 - length] == text[end - 1 - length]) {
    length++;
  }
  return length;
}

}  // namespace

PromptLookup::PromptLookup(const PromptLookupOptions& options)
    : min_ngram_(static_cast<size_t>(options.min_ngram)),
      most_(options.tokens),
      length_(std::min(first_length, most_)) {}

mx::array PromptLookup::draft(Text text, int most, const Sampler&, const mx::array&) {
  const size_t place = find(text);
  if (place == 0) return {};
  const auto length = static_cast<size_t>(std::min(length_, most));
  const size_t period = text.size() - place;
  std::vector<uint32_t> tokens;
  // Behind the end of the text it goes on as it has just begun.
  for (size_t i = 0; i < length; i++) tokens.push_back(text[place + i % period]);
  return mx::from_data(std::span<const uint32_t>(tokens));
}

void PromptLookup::learn(int drafted, int accepted) {
  length_ = accepted == drafted ? std::max(length_, 2 * drafted) : accepted + 1;
  length_ = std::min(length_, most_);
}

void PromptLookup::index(Text text) {
  // The last n-gram is what is looked for.
  for (size_t end = std::max(indexed_ + 1, min_ngram_); end < text.size(); end++) {
    earlier_.resize(end + 1);
    const auto [entry, is_new] = last_.try_emplace(ngram_before(text, end), end);
    if (!is_new) earlier_[end] = std::exchange(entry->second, end);
    indexed_ = end;
  }
}

size_t PromptLookup::find(Text text) {
  index(text);
  const size_t end = text.size();
  if (end < min_ngram_) return 0;
  const auto entry = last_.find(ngram_before(text, end));
  if (entry == last_.end()) return 0;
  size_t best = 0;
  size_t best_length = min_ngram_ - 1;
  size_t place = entry->second;
  for (int i = 0; i < most_candidates && place > 0; i++, place = earlier_[place]) {
    const size_t length = match_length(text, place, end);
    if (length > best_length) std::tie(best, best_length) = std::pair(place, length);
    if (length == longest_match) break;
  }
  return best;
}

uint64_t PromptLookup::ngram_before(Text text, size_t end) const {
  uint64_t hash = 0;
  for (const uint32_t token : text.subspan(end - min_ngram_, min_ngram_)) {
    hash = (hash ^ token) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  return hash;
}
