#pragma once

#include <string>
#include <utility>

#include "mlx/ops.h"
#include "weights.h"

/// The gated delta rule: https://arxiv.org/abs/2412.06464. Each head keeps a matrix S that recalls
/// values (V) by keys (K). A token lets it fade, corrects what it recalls for the token's key, and
/// reads what it recalls for the token's query:
///   S ← g · S,  S ← S + β · (v − S k) kᵀ,  y = S q

/// Keys of length 1 and queries of length K^-½ for the rule, from both in one array
/// (B, L, 2 · key heads, K), queries first → (B, L, key heads, K) each.
std::pair<mx::array, mx::array> normalize_qk(const mx::array& qk);

/// q and k (B, L, key heads, K), v (B, L, heads, V), log_g and beta (B · L, heads) →
/// (B, L, heads, V). Consecutive heads share a key head. A log_g of (B · L, heads, K) lets each
/// column fade at its own pace. `state`, a slot of a StateCache, holds the matrices in float32.
mx::array gated_delta_update(
    const mx::array& q, const mx::array& k, const mx::array& v, const mx::array& log_g,
    const mx::array& beta, mx::array& state);

/// rate · softplus(a + dt_bias): the logarithm of what a token leaves of the state.
mx::array log_decay(const mx::array& rate, const mx::array& a, const mx::array& dt_bias);

/// How fast each head forgets: log g = −exp(A_log) · softplus(a + dt_bias), in float32.
class DecayGate {
 public:
  /// Takes `path.A_log` and `path.dt_bias`, (heads) each.
  DecayGate(Weights& weights, const std::string& path, int heads);

  /// a (…, heads) → log g (…, heads)
  mx::array operator()(const mx::array& a) const;

 private:
  mx::array rate_;     // −exp(A_log), (1, heads)
  mx::array dt_bias_;  // (1, heads)
};
