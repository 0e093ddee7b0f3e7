#include "nn/ssm.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "mlx/metal_kernel.h"
#include "mlx/stream.h"
#include "nn/activations.h"

using mx::array;

namespace {

// The work for a token grows with the chunk, the steps from chunk to chunk become fewer.
constexpr int chunk_length = 256;

/// What a chunk of tokens reads of each other, (B, heads, L, P), and the state after them. x has
/// been multiplied with dt; dtA (B, L, heads) is how much of the state each token lets fade.
std::pair<array, array> scan_chunk(
    const array& x, const array& B, const array& C, const array& dtA, const array& state) {
  const int batch = x.dim(0);
  const int length = x.dim(1);
  const int heads = x.dim(2);
  const int dims = x.dim(3);
  const int groups = B.dim(2);
  const int shared = heads / groups;                                // heads of a group
  const array rows = mx::expand_dims(mx::arange(0, length), 1);     // (L, 1)
  const array columns = mx::expand_dims(mx::arange(0, length), 0);  // (1, L)
  const array zero = mx::scalar(0.0f, mx::float32);

  // decay[t, s]: what is left at token t of what token s wrote. Sums that begin after s are more
  // exact than differences of sums that begin with the chunk.
  const array fade = mx::transpose(dtA, {0, 2, 1});  // (B, heads, L)
  const array later = mx::where(mx::greater(rows, columns), mx::expand_dims(fade, -1), zero);
  const array decay = mx::exp(mx::cumsum(later, -2, false, true));  // (B, heads, L, L)

  // Within the chunk this is attention, whose scores decay with the distance.
  const array B_rows = mx::transpose(B, {0, 2, 1, 3});  // (B, groups, L, N)
  const array C_rows = mx::transpose(C, {0, 2, 1, 3});
  array scores = mx::matmul(C_rows, mx::swapaxes(B_rows, -1, -2));  // (B, groups, L, L)
  scores = mx::where(mx::greater_equal(rows, columns), scores, mx::scalar(0.0f, scores.dtype()));
  const array attention = mx::reshape(scores, {batch, groups, 1, length, length}) *
                          mx::reshape(decay, {batch, groups, shared, length, length});
  array y = mx::matmul(
      mx::reshape(attention, {batch, heads, length, length}), mx::transpose(x, {0, 2, 1, 3}));

  const array left = mx::transpose(mx::slice(decay, 2, length - 1, length), {0, 3, 1, 2});
  const array written = mx::reshape(x * left, {batch, length, groups, shared * dims});
  array next = mx::matmul(mx::transpose(written, {0, 2, 3, 1}), B_rows);
  next = mx::reshape(next, {batch, heads, dims, -1});

  if (state) {
    const array kept = mx::expand_dims(mx::exp(mx::cumsum(fade, -1, false, true)), -1);
    const array matrices = mx::reshape(state, {batch, groups, shared * dims, -1});
    array read = mx::matmul(C_rows, mx::swapaxes(matrices, -1, -2));  // (B, groups, L, heads · P)
    read = mx::reshape(read, {batch, groups, length, shared, dims});
    read = mx::reshape(mx::transpose(read, {0, 1, 3, 2, 4}), {batch, heads, length, dims});
    y = y + kept * read;
    next = next + mx::slice(kept, 2, length - 1, length) * state;
  }
  return {y, next};
}

/// The same for one token.
std::pair<array, array> scan_token(
    const array& x, const array& B, const array& C, const array& dtA, const array& state) {
  const int batch = x.dim(0);
  const int heads = x.dim(2);
  const int dims = x.dim(3);
  const int groups = B.dim(2);
  const int rows = heads / groups * dims;  // of the matrices of a group
  const array written = mx::reshape(x, {batch, groups, rows, 1}) *
                        mx::reshape(B, {batch, groups, 1, -1});  // (B, groups, rows, N)
  array next = mx::reshape(written, {batch, heads, dims, -1});
  if (state) next = state * mx::exp(mx::reshape(dtA, {batch, heads, 1, 1})) + next;
  const array y = mx::matmul(
      mx::reshape(next, {batch, groups, rows, -1}), mx::reshape(C, {batch, groups, -1, 1}));
  return {mx::reshape(y, {batch, heads, 1, dims}), next};
}

constexpr const char* kernel_body =
#include "nn/ssm.metal"
    ;

}  // namespace

TimeStepLimit time_step_limit(const Config& config, TimeStepLimit fallback) {
  const std::vector<float> limits = config.limits("time_step_limit");
  if (limits.empty()) return fallback;
  if (limits.size() != 2 || !(limits[0] <= limits[1])) {
    refuse_config("\"time_step_limit\" must be two numbers, the smaller one first");
  }
  return {limits[0], limits[1]};
}

StateSpace::StateSpace(Weights& weights, const std::string& path, int heads, TimeStepLimit limit)
    : limit_(limit) {
  const array A_log = weights.take(path + ".A_log", {heads});
  const array D = weights.take(path + ".D", {heads});
  const array dt_bias = weights.take(path + ".dt_bias", {heads});
  if (!A_log || !D || !dt_bias) return;  // missing, and noted as such
  const float limits[] = {limit.least, limit.most};
  limits_ = mx::from_data(limits);
  A_ = -mx::exp(mx::astype(A_log, mx::float32));
  D_ = mx::expand_dims(D, -1);
  dt_bias_ = mx::astype(dt_bias, mx::float32);
}

array StateSpace::time_steps(const array& dt) const {
  const array steps = softplus(mx::astype(dt, mx::float32) + dt_bias_);
  if (limit_.least <= 0 && std::isinf(limit_.most)) return steps;
  return mx::clip(
      steps, mx::scalar(limit_.least, mx::float32), mx::scalar(limit_.most, mx::float32));
}

array StateSpace::operator()(
    const array& x, const array& B, const array& C, const array& dt, array& state) const {
  if (mx::on_metal() && x.dim(1) == 1 && state) return step_by_kernel(x, B, C, dt, state);
  return scan(x, B, C, dt, state);
}

array StateSpace::step_by_kernel(
    const array& x, const array& B, const array& C, const array& dt, array& state) const {
  static const mx::MetalKernel kernel(
      "state_space", kernel_body, {"x", "B", "C", "dt", "A", "D", "dt_bias", "limits", "state"},
      {"y", "next_state"});
  const int heads = x.dim(2);
  const int dims = x.dim(3);
  const array inputs[] = {x, B, C, dt, A_, D_, dt_bias_, limits_, state};
  std::vector<array> outputs = kernel(
      inputs, {.grid = {32, dims, x.dim(0) * heads},
               .thread_group = {32, 8, 1},
               .outputs = {{x.shape(), x.dtype()}, {state.shape(), state.dtype()}},
               .constants = {{"Heads", heads}, {"Groups", B.dim(2)}, {"P", dims}, {"N", B.dim(3)}},
               .types = {{"T", x.dtype()}}});
  state = outputs[1];
  return outputs[0];
}

array StateSpace::scan(
    const array& x, const array& B, const array& C, const array& dt, array& state) const {
  const array steps = time_steps(dt);
  const array dtA = steps * A_;
  const array dtx = mx::expand_dims(steps, -1) * x;
  const int length = x.dim(1);
  std::vector<array> parts;
  for (int start = 0; start < length; start += chunk_length) {
    const int stop = std::min(start + chunk_length, length);
    const auto chunk = [&](const array& a) { return mx::slice(a, 1, start, stop); };
    const auto part = stop - start == 1 ? scan_token : scan_chunk;
    const auto [y, next] = part(chunk(dtx), chunk(B), chunk(C), chunk(dtA), state);
    parts.push_back(mx::transpose(y, {0, 2, 1, 3}));
    state = next;
  }
  const array y = parts.size() == 1 ? parts[0] : mx::concatenate(parts, 1);
  return mx::astype(y, x.dtype()) + x * mx::astype(D_, x.dtype());
}
