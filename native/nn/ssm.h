#pragma once

#include <limits>
#include <string>

#include "config.h"
#include "mlx/ops.h"
#include "weights.h"

/// Between which bounds a state space keeps its time steps.
struct TimeStepLimit {
  float least = 0;
  float most = std::numeric_limits<float>::infinity();
};

/// `time_step_limit` of a config, two numbers of which the second may be infinite.
TimeStepLimit time_step_limit(const Config& config, TimeStepLimit fallback = {});

/// The selective state space of Mamba 2: https://arxiv.org/abs/2405.21060. Each head keeps a
/// matrix h, which a token lets fade, adds its x to along B, and reads along C, with a step dt in
/// time that the token chooses itself:
///   h ← exp(dt · A) · h + dt · x Bᵀ,  y = h C + D · x
class StateSpace {
 public:
  /// Takes `path.A_log`, `path.D` and `path.dt_bias`, (heads) each.
  StateSpace(Weights& weights, const std::string& path, int heads, TimeStepLimit limit);

  /// x (B, L, heads, P), B and C (B, L, groups, N), dt (B, L, heads) → (B, L, heads, P).
  /// Consecutive heads share a group. `state`, a slot of a StateCache, holds the matrices
  /// (B, heads, P, N) in float32.
  mx::array operator()(
      const mx::array& x, const mx::array& B, const mx::array& C, const mx::array& dt,
      mx::array& state) const;

 private:
  mx::array time_steps(const mx::array& dt) const;
  mx::array scan(
      const mx::array& x, const mx::array& B, const mx::array& C, const mx::array& dt,
      mx::array& state) const;
  mx::array step_by_kernel(
      const mx::array& x, const mx::array& B, const mx::array& C, const mx::array& dt,
      mx::array& state) const;

  TimeStepLimit limit_;
  mx::array limits_;   // (2) the same
  mx::array A_;        // −exp(A_log), (heads) in float32
  mx::array D_;        // (heads, 1)
  mx::array dt_bias_;  // (heads) in float32
};
