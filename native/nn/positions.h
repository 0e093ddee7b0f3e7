#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "mlx/ops.h"

/// By how many tokens each row of a batch is shorter than the longest one. All rows end at the same
/// place, so it stays as it is while they grow.
struct Lag {
  /// Nothing if all are 0.
  static std::shared_ptr<const Lag> of(std::vector<int> rows);

  int most() const;

  std::vector<int> rows;
  mx::array array;  // (B, 1, 1, 1) int32
};

/// Where the rows of a batch stand in their texts: a host integer for the longest row, because a
/// lazy one would grow the graph with every step, and what the other rows lack, if they do.
class Positions {
 public:
  explicit Positions(int longest, std::shared_ptr<const Lag> lag = nullptr)
      : longest_(longest), lag_(std::move(lag)) {}

  int longest() const { return longest_; }
  /// Nothing where all rows stand alike.
  const Lag* lag() const { return lag_.get(); }
  Positions later(int tokens) const { return Positions(longest_ + tokens, lag_); }
  bool operator==(const Positions& other) const;

  /// The positions of `length` tokens from here on: (length), or (B, 1, length) where rows differ.
  mx::array range(int length, mx::Dtype dtype) const;

 private:
  int longest_;
  std::shared_ptr<const Lag> lag_;
};
