#pragma once

#include <functional>
#include <optional>
#include <string>

#include "nn/activations.h"
#include "nn/matrix.h"

/// Mixture of experts: the matrices of all experts in one stack, of which each token uses a few.

/// y = x @ weight[expert]ᵀ + bias[expert]
class SwitchLinear {
 public:
  SwitchLinear(
      Weights& weights, const std::string& path, int in_dims, int out_dims, int num_experts,
      bool has_bias = false);

  /// x (n, 1 or k, 1, in) with expert indices (n, k), or rows (m, 1, in) with indices (m) → one
  /// row per index. `sorted` promises ascending indices, which is quicker for many rows.
  mx::array operator()(const mx::array& x, const mx::array& indices, bool sorted) const;

 private:
  Matrix matrix_;
  mx::array bias_;                   // (experts, out), empty without bias
  std::optional<LowRank> low_rank_;  // of an adapter: a (experts, r, in), b (experts, out, r)
};

/// What experts compute of their gate's and their own projection.
using GatedActivation = std::function<mx::array(const mx::array& gate, const mx::array& x)>;

/// Experts with a gate: down_proj(activation(gate_proj(x), up_proj(x))).
class SwitchGLU {
 public:
  SwitchGLU(
      Weights& weights, const std::string& path, int in_dims, int hidden_dims, int num_experts,
      GatedActivation activation = swiglu, bool has_bias = false);

  /// Tokens (n, D) and the experts of each (n, k) → (n, k, D)
  mx::array operator()(const mx::array& x, const mx::array& indices) const;

 private:
  SwitchLinear gate_proj_, up_proj_, down_proj_;
  GatedActivation activation_;
};

/// Experts without a gate: fc2(activation(fc1(x))).
class SwitchMLP {
 public:
  SwitchMLP(
      Weights& weights, const std::string& path, int in_dims, int hidden_dims, int num_experts,
      std::function<mx::array(const mx::array&)> activation, bool has_bias = false);

  /// Tokens (n, D) and the experts of each (n, k) → (n, k, D)
  mx::array operator()(const mx::array& x, const mx::array& indices) const;

 private:
  SwitchLinear fc1_, fc2_;
  std::function<mx::array(const mx::array&)> activation_;
};

/// Where the k largest numbers of each row are, in no order: (n, experts) → (n, k)
mx::array top_k(const mx::array& scores, int k);

/// The experts of a token, weighted: (n, k, D) and scores (n, k) → (n, D)
mx::array weighted_sum(const mx::array& experts, const mx::array& scores);

/// Stacks the tensors of single experts, `path.experts.0.from.weight` …, into
/// `path.switch_mlp.to.weight`, as mlx-lm saves them; likewise scales, biases and bias. Does
/// nothing where the checkpoint has none.
void stack_experts(
    Weights& weights, const std::string& path, const std::string& from, const std::string& to,
    int num_experts, const std::string& experts = "experts",
    const std::string& stacked = "switch_mlp");
