#pragma once

#include <string>

#include "mlx/ops.h"
#include "nn/conv.h"
#include "nn/layer_cache.h"
#include "nn/linear.h"
#include "nn/ssm.h"

/// x · silu(gate) over its rms in each of `groups` parts of the last axis, times weight.
class MambaRMSNormGated {
 public:
  MambaRMSNormGated(Weights& weights, const std::string& path, int dims, float eps, int groups = 1);

  /// Rows (n, dims).
  mx::array operator()(const mx::array& x, const mx::array& gate) const;

 private:
  mx::array weight_;  // (dims)
  float eps_;
  int groups_;
};

/// The layer of Mamba 2, in the place that attention has elsewhere: a short convolution, then a
/// state space.
class Mamba2Mixer {
 public:
  struct Args {
    int hidden_size;
    int num_heads;
    int head_dim;
    int state_size;
    int n_groups;
    int conv_kernel;
    bool proj_bias;
    bool conv_bias;
    TimeStepLimit time_step_limit;
    float norm_eps;
    int norm_groups = 1;
  };

  Mamba2Mixer(const Args& args, Weights& weights, const std::string& path);

  /// Rows (batch · L, D) → the same.
  mx::array operator()(const mx::array& x, int batch, StateCache& cache) const;

  /// Slots of the cache: those of the convolution and of the state space.
  static constexpr size_t slots = 2;

 private:
  Args args_;
  int inner_dims_;  // of all heads
  int group_dims_;  // of B or C of all groups
  CausalConv conv1d_;
  Linear in_proj_, out_proj_;
  StateSpace ssm_;
  MambaRMSNormGated norm_;
};
