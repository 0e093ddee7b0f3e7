#pragma once

#include <string>

#include "mlx/ops.h"
#include "weights.h"

/// A causal convolution over time that keeps channels apart: each token sees its own channel of
/// itself and of the `taps` − 1 tokens before it.
class CausalConv {
 public:
  /// Takes `path.weight` (channels, taps, 1) and, if it has one, `path.bias` (channels).
  CausalConv(
      Weights& weights, const std::string& path, int channels, int taps, bool has_bias = false);

  /// x (B, L, channels) → (B, L, channels). `state`, a slot of a StateCache, holds the inputs that
  /// the next token will look back on, (B, taps − 1, channels).
  mx::array operator()(const mx::array& x, mx::array& state) const;

 private:
  mx::array convolve(const mx::array& window) const;

  int taps_;
  mx::array weight_;      // (channels, taps, 1)
  mx::array by_channel_;  // (1, taps, channels)
  mx::array bias_;        // (channels), empty without bias
};

/// Gives the convolutions whose names end so, such as ".conv1d.weight", the layout that mlx-lm
/// saves where they have their publisher's, (channels, 1, taps). Returns whether any had.
bool transpose_conv_weights(Weights& weights, const std::string& ending);
