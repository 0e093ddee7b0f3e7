#include "nn/gated_delta.h"

#include <cmath>
#include <vector>

#include "mlx/metal_kernel.h"
#include "mlx/stream.h"
#include "nn/activations.h"
#include "nn/gated_delta_chunks.h"

using mx::array;

namespace {

/// So few tokens are sooner read one by one than as a chunk.
constexpr int few_tokens = 4;

/// What a token brings, grouped by key head: (B, 1, key heads, heads per key, …).
struct Token {
  array q;      // (…, 1, K)
  array k;      // (…, 1, K)
  array v;      // (…, V, 1)
  array log_g;  // (…, 1, 1 or K)
  array beta;   // (…, 1, 1)
};

/// One token: y (…, V, 1)
array step(const Token& token, array& state) {
  const auto& [q, k, v, log_g, beta] = token;
  const array faded = state * mx::exp(log_g);
  // One look at the state does for both: what the query will find besides is the correction.
  const array key_query[] = {k, q};
  const array found =
      mx::matmul(faded, mx::swapaxes(mx::concatenate(key_query, -2), -1, -2));  // (…, V, 2)
  const array delta = (v - mx::slice(found, -1, 0, 1)) * beta;
  state = mx::addmm(faded, delta, k);
  return mx::slice(found, -1, 1, 2) + delta * mx::sum(k * q, -1);
}

array update_token_by_token(
    const array& q, const array& k, const array& v, const array& log_g, const array& beta,
    array& state) {
  const int batch = v.dim(0);
  const int length = v.dim(1);
  const int per_key = v.dim(2) / k.dim(2);
  std::vector<array> ys;
  for (int t = 0; t < length; t++) {
    const auto pick = [&](const array& all, int heads, int rows) {
      const array a =
          length == 1 ? all : mx::slice(mx::reshape(all, {batch, length, -1}), 1, t, t + 1);
      return mx::reshape(mx::astype(a, mx::float32), {batch, 1, k.dim(2), heads, rows, -1});
    };
    const Token token{
        .q = pick(q, 1, 1),
        .k = pick(k, 1, 1),
        .v = pick(v, per_key, v.dim(3)),
        .log_g = pick(log_g, per_key, 1),
        .beta = pick(beta, per_key, 1)};
    ys.push_back(step(token, state));
  }
  return length == 1 ? ys[0] : mx::concatenate(ys, 1);
}

/// The same numbers by ops that every backend has.
array update_by_ops(
    const array& q, const array& k, const array& v, const array& log_g, const array& beta,
    array& state) {
  const bool heads_fade = log_g.size() == beta.size();
  if (v.dim(1) <= few_tokens || !heads_fade) {
    return update_token_by_token(q, k, v, log_g, beta, state);
  }
  const auto grouped = [&](const array& a, int heads) {
    return mx::reshape(mx::astype(a, mx::float32), {v.dim(0), v.dim(1), k.dim(2), heads, -1});
  };
  const int per_key = v.dim(2) / k.dim(2);
  return gated_delta_by_chunks(
      grouped(q, 1), grouped(k, 1), grouped(v, per_key), grouped(log_g, per_key),
      grouped(beta, per_key), state);
}

constexpr const char* kernel_body =
#include "nn/gated_delta.metal"
    ;

constexpr int simd_width = 32;
constexpr int most_columns = 32;  // that a thread keeps in registers

/// How many threads share a row of K numbers in the kernel; 0 where it does not fit the shape.
int lanes_for(int key_dim, int value_dim) {
  int lanes = 4;
  while (key_dim > lanes * most_columns) lanes *= 2;
  const bool fits =
      lanes <= simd_width && key_dim % lanes == 0 && value_dim % (simd_width / lanes) == 0;
  return fits ? lanes : 0;
}

array update_by_kernel(
    const array& q, const array& k, const array& v, const array& g, const array& beta, array& state,
    int lanes) {
  static const mx::MetalKernel kernel(
      "gated_delta", kernel_body, {"q", "k", "v", "g", "beta", "state"}, {"y", "next_state"});
  const int heads = v.dim(2);
  const int value_dim = v.dim(3);
  const int gate_width = static_cast<int>(g.size() / beta.size());
  const array inputs[] = {q, k, v, g, beta, state};
  std::vector<array> outputs = kernel(
      inputs, {.grid = {simd_width, value_dim * lanes / simd_width, v.dim(0) * heads},
               .thread_group = {simd_width, 4, 1},
               .outputs = {{v.shape(), v.dtype()}, {state.shape(), state.dtype()}},
               .constants =
                   {{"K", k.dim(3)},
                    {"V", value_dim},
                    {"KeyHeads", k.dim(2)},
                    {"Heads", heads},
                    {"GateWidth", gate_width},
                    {"Lanes", lanes}},
               .types = {{"T", v.dtype()}}});
  state = outputs[1];
  return outputs[0];
}

array fading(const array& rate, const array& a, const array& dt_bias) {
  return rate * softplus(a + dt_bias);
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
    const array& q, const array& k, const array& v, const array& log_g, const array& beta,
    array& state) {
  const int key_heads = k.dim(2);
  const int key_dim = k.dim(3);
  const int value_dim = v.dim(3);
  if (!state) {
    state =
        mx::zeros({v.dim(0), 1, key_heads, v.dim(2) / key_heads, value_dim, key_dim}, mx::float32);
  }
  const int lanes = mx::on_metal() ? lanes_for(key_dim, value_dim) : 0;
  if (lanes > 0) return update_by_kernel(q, k, v, mx::exp(log_g), beta, state, lanes);
  const array y = update_by_ops(q, k, v, log_g, beta, state);
  return mx::reshape(mx::astype(y, v.dtype()), {v.dim(0), v.dim(1), v.dim(2), value_dim});
}

array log_decay(const array& rate, const array& a, const array& dt_bias) {
  return mx::fused<fading>(rate, a, dt_bias);
}

DecayGate::DecayGate(Weights& weights, const std::string& path, int heads)
    : rate_(weights.take(path + ".A_log", {heads})),
      dt_bias_(weights.take(path + ".dt_bias", {heads})) {
  if (rate_) rate_ = mx::expand_dims(-mx::exp(mx::astype(rate_, mx::float32)), 0);
  if (dt_bias_) dt_bias_ = mx::expand_dims(dt_bias_, 0);
}

array DecayGate::operator()(const array& a) const { return log_decay(rate_, a, dt_bias_); }
