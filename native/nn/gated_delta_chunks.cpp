#include "nn/gated_delta_chunks.h"

#include <functional>
#include <span>
#include <vector>

#include "mlx/stream.h"

using mx::array;

namespace {

// Powers of 2. A GPU wants few large products, a CPU little arithmetic.
constexpr int gpu_chunk = 64;
constexpr int cpu_chunk = 8;

/// 1 where the row and the column of a matrix (size, size) fulfil a condition, else 0.
template <typename Condition>
array ones_where(int size, Condition condition) {
  std::vector<float> ones;
  for (int row = 0; row < size; row++) {
    for (int column = 0; column < size; column++) {
      ones.push_back(condition(row, column) ? 1.0f : 0.0f);
    }
  }
  return mx::from_data(std::span<const float>(ones), {size, size});
}

array first(const array& a, int columns) { return mx::slice(a, -1, 0, columns); }
array rest(const array& a, int columns) { return mx::slice(a, -1, columns, a.dim(-1)); }

array joined(const array& a, const array& b, int axis) {
  const array both[] = {a, b};
  return mx::concatenate(both, axis);
}

/// (B, L, key heads, heads, D) → (B, chunks, key heads, heads, D, C), filled up with zeros: tokens
/// that neither fade nor write.
array in_chunks(const array& a, int size) {
  const int chunks = (a.dim(1) + size - 1) / size;
  const int missing = chunks * size - a.dim(1);
  const array filled =
      missing == 0
          ? a
          : joined(a, mx::zeros({a.dim(0), missing, a.dim(2), a.dim(3), a.dim(4)}, a.dtype()), 1);
  const array apart = mx::reshape(filled, {a.dim(0), chunks, size, a.dim(2), a.dim(3), a.dim(4)});
  return mx::transpose(apart, {0, 1, 3, 4, 5, 2});
}

/// (I + U)⁻¹ for matrices (…, C, C) that are zero but above the diagonal. A block on the diagonal
/// has the inverses of its halves there, and −(one) U (the other) above.
array inverse_plus_identity(const array& upper) {
  const int size = upper.dim(-1);
  array inverse = ones_where(size, std::equal_to());
  for (int half = 1; half < size; half *= 2) {
    const array above = upper * ones_where(size, [half](int row, int column) {
                          return row / half + 1 == column / half && column / half % 2 == 1;
                        });
    inverse = inverse - (half == 1 ? above : mx::matmul(mx::matmul(inverse, above), inverse));
  }
  return inverse;
}

/// What is known of chunks before their states are; all (B, chunks, key heads, heads per key, …).
/// A column is a token, so that no product has to transpose a state (V, K). The columns of
///   Δ = (β V − β Γ S K) (I + U)⁻¹   with U[s, t] = β[t] · decay(s → t) · k[s]·k[t] for s < t
/// are what tokens correct, where S is the state before the chunk and Γ what is left of it.
struct Chunks {
  array values;   // (V, C): β V (I + U)⁻¹
  array reads;    // (K, 2 · C): β Γ K (I + U)⁻¹, then the queries of what is left
  array writes;   // (C, K): the keys of the corrections, faded till the chunk ends
  array answers;  // (C, C): what a query finds of each correction
  array kept;     // (1, 1): what is left of the state at the end

  Chunks(const array& q, const array& k, const array& v, const array& log_g, const array& beta) {
    const int size = q.dim(-1);
    const array later = ones_where(size, std::less());
    const array not_before = ones_where(size, std::less_equal());
    // Sums that begin behind a token are more exact than differences of sums, and never above 0.
    const array decay = mx::exp(mx::cumsum(log_g * later, -1, false, true));  // (C, C)
    const array since_start = mx::exp(mx::cumsum(log_g, -1, false, true));    // (1, C)

    const array keys = mx::swapaxes(k, -1, -2);                 // (C, K)
    const array products = mx::matmul(keys, joined(k, q, -1));  // (C, 2 · C)
    answers = rest(products, size) * (decay * not_before);
    const array inverse = inverse_plus_identity(first(products, size) * (decay * later) * beta);
    values = mx::matmul(v * beta, inverse);
    reads = joined(mx::matmul(k * (beta * since_start), inverse), q * since_start, -1);
    writes = keys * rest(decay, size - 1);
    kept = rest(since_start, size - 1);
  }

  int count() const { return values.dim(1); }

  /// y (B, 1, key heads, heads per key, V, C) of a chunk, and the state behind it.
  array answer(int chunk, array& state) const {
    const auto at = [chunk](const array& a) { return mx::slice(a, 1, chunk, chunk + 1); };
    const int size = answers.dim(-1);
    const array found = mx::matmul(state, at(reads));  // (V, 2 · C)
    const array delta = at(values) - first(found, size);
    state = mx::addmm(state * at(kept), delta, at(writes));
    return mx::addmm(rest(found, size), delta, at(answers));
  }
};

}  // namespace

array gated_delta_by_chunks(
    const array& q, const array& k, const array& v, const array& log_g, const array& beta,
    array& state) {
  const int size = mx::on_gpu() ? gpu_chunk : cpu_chunk;
  const auto cut = [size](const array& a) { return in_chunks(a, size); };
  const Chunks chunks(cut(q), cut(k), cut(v), cut(log_g), cut(beta));
  std::vector<array> ys;
  for (int chunk = 0; chunk < chunks.count(); chunk++) ys.push_back(chunks.answer(chunk, state));
  const array y = mx::transpose(mx::concatenate(ys, 1), {0, 1, 5, 2, 3, 4});
  const int tokens = chunks.count() * size;
  const array rows = mx::reshape(y, {v.dim(0), tokens, v.dim(2), v.dim(3), v.dim(4)});
  return mx::slice(rows, 1, 0, v.dim(1));
}
