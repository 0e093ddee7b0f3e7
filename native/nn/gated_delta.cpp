#include "nn/gated_delta.h"

#include <cmath>
#include <vector>

#include "nn/activations.h"

using mx::array;

namespace {

/// One token, or several that are alike, of all heads in groups that share a key: arrays
/// (B, 1, key heads, heads per key, rows, columns).
struct Token {
  array q;     // (…, K, 1)
  array k;     // (…, 1, K)
  array v;     // (…, V, 1)
  array g;     // (…, 1, 1 or K)
  array beta;  // (…, 1, 1)

  Token at(int t) const {
    const auto pick = [t](const array& a) { return mx::slice(a, 1, t, t + 1); };
    return {pick(q), pick(k), pick(v), pick(g), pick(beta)};
  }
};

/// y (…, V, 1)
array step(const Token& token, array& state) {
  const auto& [q, k, v, g, beta] = token;
  const array faded = state * g;
  const array delta = (v - mx::matmul(faded, mx::swapaxes(k, -1, -2))) * beta;
  state = mx::addmm(faded, delta, k);
  return mx::matmul(state, q);
}

}  // namespace

std::pair<array, array> normalize_qk(const array& qk) {
  constexpr float eps = 1e-6f;
  const int heads = qk.dim(2) / 2;
  const float dims = static_cast<float>(qk.dim(3));
  const auto queries = [heads](const array& both) { return mx::slice(both, 2, 0, heads); };
  const auto keys = [heads](const array& both) { return mx::slice(both, 2, heads, 2 * heads); };
  if (!mx::on_gpu() && qk.dtype() == mx::float32) {
    const array unit = qk * mx::rsqrt(mx::sum(mx::square(qk), -1) + eps);
    return {queries(unit) * (1.0f / std::sqrt(dims)), keys(unit)};
  }
  const array normed = mx::rms_norm(qk, array(), eps / dims);
  return {queries(normed) * (1.0f / dims), keys(normed) * (1.0f / std::sqrt(dims))};
}

array gated_delta_update(
    const array& q, const array& k, const array& v, const array& g, const array& beta,
    array& state) {
  const int batch = v.dim(0);
  const int length = v.dim(1);
  const int key_heads = k.dim(2);
  const int per_key = v.dim(2) / key_heads;
  const int key_dim = k.dim(3);
  const int value_dim = v.dim(3);
  if (!state) state = mx::zeros({batch, 1, key_heads, per_key, value_dim, key_dim}, mx::float32);

  const Token tokens{
      .q = mx::reshape(q, {batch, length, key_heads, 1, key_dim, 1}),
      .k = mx::reshape(k, {batch, length, key_heads, 1, 1, key_dim}),
      .v = mx::reshape(v, {batch, length, key_heads, per_key, value_dim, 1}),
      .g = mx::reshape(g, {batch, length, key_heads, per_key, 1, -1}),
      .beta = mx::reshape(beta, {batch, length, key_heads, per_key, 1, 1})};
  array y;  // (B, L, key heads, heads per key, V, 1)
  if (length == 1) {
    y = step(tokens, state);
  } else {
    std::vector<array> ys;
    for (int t = 0; t < length; t++) ys.push_back(step(tokens.at(t), state));
    y = mx::concatenate(ys, 1);
  }
  return mx::reshape(mx::astype(y, v.dtype()), {batch, length, v.dim(2), value_dim});
}

DecayGate::DecayGate(Weights& weights, const std::string& path, int heads)
    : rate_(weights.take(path + ".A_log", {heads})),
      dt_bias_(weights.take(path + ".dt_bias", {heads})) {
  if (rate_) rate_ = mx::expand_dims(-mx::exp(mx::astype(rate_, mx::float32)), 0);
  if (dt_bias_) dt_bias_ = mx::expand_dims(dt_bias_, 0);
}

array DecayGate::operator()(const array& a) const {
  return mx::exp(rate_ * softplus(a + dt_bias_));
}
