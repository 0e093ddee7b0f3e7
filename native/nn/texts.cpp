#include "nn/texts.h"

#include <algorithm>
#include <numeric>

#include "engine_error.h"

using mx::array;

namespace {

int longest_of(
    std::span<const uint32_t> tokens, std::span<const uint32_t> segments,
    std::span<const uint32_t> lengths) {
  const auto refuse = [](const char* problem) { throw EngineError("invalid_argument", problem); };
  if (std::ranges::any_of(lengths, [](uint32_t length) { return length == 0; })) {
    refuse("each text must have tokens");
  }
  const uint64_t sum = std::accumulate(lengths.begin(), lengths.end(), uint64_t{0});
  if (lengths.empty() || sum != tokens.size()) refuse("lengths must be those of the texts");
  if (!segments.empty() && segments.size() != tokens.size()) {
    refuse("segments must be as many as tokens");
  }
  constexpr uint64_t most_padded = 1 << 28;
  const uint32_t longest = *std::ranges::max_element(lengths);
  if (longest * uint64_t{lengths.size()} > most_padded) refuse("these are too many tokens at once");
  return static_cast<int>(longest);
}

}  // namespace

Texts::Texts(
    std::span<const uint32_t> tokens, std::span<const uint32_t> segments,
    std::span<const uint32_t> lengths)
    : lengths_(lengths.begin(), lengths.end()), longest_(longest_of(tokens, segments, lengths)) {
  tokens_ = padded(tokens);
  if (segments.empty()) return;
  segments_ = padded(segments);
  constexpr uint32_t most = 1 << 30;
  segment_kinds_ = static_cast<int>(std::min(*std::ranges::max_element(segments), most)) + 1;
}

array Texts::padded(std::span<const uint32_t> values) const {
  std::vector<uint32_t> rows(static_cast<size_t>(longest_) * lengths_.size());
  auto row = rows.begin();
  for (const int length : lengths_) {
    const auto text = values.first(static_cast<size_t>(length));
    values = values.subspan(text.size());
    std::ranges::copy(text, row);
    row += longest_;
  }
  return mx::from_data(std::span<const uint32_t>(rows), {count(), longest_});
}

array Texts::is_token() const {
  const array ends = mx::from_data(std::span<const int32_t>(lengths_), {count(), 1});
  return mx::less(mx::expand_dims(mx::arange(0, longest_), 0), ends);
}

Mask Texts::whole() const {
  const bool is_padded = std::ranges::any_of(lengths_, [&](int each) { return each < longest_; });
  if (!is_padded) return {.batch = count(), .mode = "", .allowed = {}};
  return {
      .batch = count(),
      .mode = "array",
      .allowed = mx::reshape(is_token(), {count(), 1, 1, longest_})};
}

Mask Texts::near(int distance) const {
  if (distance >= longest_ - 1) return whole();
  const array keys = mx::expand_dims(mx::arange(0, longest_), 0);  // (1, L)
  const array distances = mx::abs(mx::expand_dims(mx::arange(0, longest_), 1) - keys);
  const array most = mx::from_data(std::span<const int32_t>(&distance, 1));
  const array is_near = mx::less_equal(distances, most);  // (L, L)
  const Mask all = whole();
  if (!all.allowed) return {.batch = count(), .mode = "array", .allowed = is_near};
  // Padding looks at itself: without any key its numbers would be none, and spoil those of others.
  const array zero = mx::from_data(std::vector<int32_t>{0});
  const array allowed =
      mx::logical_or(mx::logical_and(all.allowed, is_near), mx::equal(distances, zero));
  return {.batch = count(), .mode = "array", .allowed = allowed};  // (B, 1, L, L)
}
