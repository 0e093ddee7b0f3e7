#include "nn/conv.h"

#include "mlx/stream.h"

using mx::array;

CausalConv::CausalConv(
    Weights& weights, const std::string& path, int channels, int taps, bool has_bias)
    : taps_(taps), weight_(weights.take(path + ".weight", {channels, taps, 1})) {
  if (weight_) by_channel_ = mx::contiguous(mx::transpose(weight_, {2, 1, 0}));
  if (has_bias) bias_ = weights.take(path + ".bias", {channels});
}

array CausalConv::operator()(const array& x, array& state) const {
  const int length = x.dim(1);
  if (!state) state = mx::zeros({x.dim(0), taps_ - 1, x.dim(2)}, x.dtype());
  const array parts[] = {state, x};
  const array window = mx::concatenate(parts, 1);  // (B, taps − 1 + L, channels)
  state = mx::slice(window, 1, length, length + taps_ - 1);
  // A slice keeps the whole it was cut from: that of a long prompt is copied.
  if (length > 1) state = mx::contiguous(state);
  const array y = convolve(window);
  return bias_ ? y + bias_ : y;
}

array CausalConv::convolve(const array& window) const {
  // On the CPU MLX convolves one channel after the other. For a single token a product will do;
  // half precisions would round it where the convolution does not.
  const bool is_token = window.dim(1) == taps_ && window.dtype() == mx::float32;
  if (is_token && !mx::on_gpu()) return mx::sum(window * by_channel_, 1);
  return mx::conv1d(window, weight_, window.dim(2));
}

bool transpose_conv_weights(Weights& weights, const std::string& ending) {
  bool found = false;
  for (const std::string& name : weights.names()) {
    if (!name.ends_with(ending)) continue;
    const array weight = weights.extract(name);
    const bool is_publishers = weight.ndim() == 3 && weight.dim(2) != 1;
    weights.put(name, is_publishers ? mx::contiguous(mx::swapaxes(weight, 1, 2)) : weight);
    found = found || is_publishers;
  }
  return found;
}
