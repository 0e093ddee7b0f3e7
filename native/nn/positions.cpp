#include "nn/positions.h"

#include <algorithm>

std::shared_ptr<const Lag> Lag::of(std::vector<int> rows) {
  if (std::ranges::all_of(rows, [](int tokens) { return tokens == 0; })) return nullptr;
  const mx::Shape shape{static_cast<int>(rows.size()), 1, 1, 1};
  mx::array array = mx::from_data(std::span<const int32_t>(rows), shape);
  return std::make_shared<const Lag>(Lag{std::move(rows), std::move(array)});
}

int Lag::most() const { return *std::ranges::max_element(rows); }

bool Positions::operator==(const Positions& other) const {
  if (longest_ != other.longest_) return false;
  if (lag_ == other.lag_) return true;
  return lag_ && other.lag_ && lag_->rows == other.lag_->rows;
}

mx::array Positions::range(int length, mx::Dtype dtype) const {
  if (!lag_) return mx::arange(longest_, longest_ + length, 1, dtype);
  const mx::array columns = mx::arange(longest_, longest_ + length);
  return mx::astype(columns - mx::squeeze(lag_->array, 1), dtype);
}
