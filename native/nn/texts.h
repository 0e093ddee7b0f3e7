#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mlx/ops.h"
#include "nn/mask.h"

/// Texts that are read together, each as a whole: shorter ones are padded at their ends.
class Texts {
 public:
  /// `tokens` has those of all texts, one behind the other, and `segments` the part of its text
  /// that each of them is in; it is empty where no text has parts. Throws "invalid_argument" where
  /// they do not go together.
  Texts(
      std::span<const uint32_t> tokens, std::span<const uint32_t> segments,
      std::span<const uint32_t> lengths);

  int count() const { return static_cast<int>(lengths_.size()); }  // B
  int longest() const { return longest_; }                         // L
  const std::vector<int>& lengths() const { return lengths_; }

  /// (B, L) token ids; where a text has ended, 0.
  const mx::array& tokens() const { return tokens_; }
  /// (B, L), or empty.
  const mx::array& segments() const { return segments_; }
  /// Kinds of segments that there may be, so that each is one of them.
  int segment_kinds() const { return segment_kinds_; }
  /// (B, L) booleans: what belongs to a text.
  mx::array is_token() const;

  /// Every token looks at all of its text.
  Mask whole() const;
  /// Every token looks at those of its text that are at most so far away, on both sides.
  Mask near(int distance) const;

 private:
  mx::array padded(std::span<const uint32_t> values) const;

  std::vector<int> lengths_;
  int longest_;
  int segment_kinds_ = 1;
  mx::array tokens_;
  mx::array segments_;
};
