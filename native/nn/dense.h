#pragma once

#include <string>
#include <vector>

#include "nn/linear.h"

/// A layer that sentence-transformers puts behind a pooling, in a safetensors file of its own.
class Dense {
 public:
  /// As an entry of "dense_layers" describes it: its file, sizes, bias and activation.
  explicit Dense(const Config& config);

  /// (B, in) → (B, out)
  mx::array operator()(const mx::array& x) const;

  /// What it keeps in memory.
  const std::vector<mx::array>& arrays() const { return arrays_; }

 private:
  Dense(const Config& config, Weights weights);

  Linear linear_;
  bool has_tanh_;
  std::vector<mx::array> arrays_;
};
