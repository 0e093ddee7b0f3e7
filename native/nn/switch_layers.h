#pragma once

#include <functional>
#include <optional>
#include <string>

#include "nn/activations.h"
#include "nn/matrix.h"

/// Mixture of experts: the matrices of all experts in one stack, of which each token uses a few.

/// Which expert multiplies which row: one product for each index.
struct Routes {
  mx::array experts;    // (…) indices
  mx::array rows;       // (…) rows of x; empty where the axes of x and `experts` tell, broadcast
  bool sorted = false;  // ascending experts, which is quicker for many rows
};

/// The routes of a single token, whose rows are the same at every call and made at the first one.
class TokenRoutes {
 public:
  /// Each expert, given as indices (1, k), multiplies the same row.
  Routes same_row(const mx::array& indices) const;
  /// Each expert multiplies its own row of (1, k, 1, D).
  Routes own_row(const mx::array& indices) const;

 private:
  mutable mx::array zeros_;    // (1, k)
  mutable mx::array numbers_;  // (1, k) 0, 1, …
};

/// y = x @ weight[expert]ᵀ + bias[expert]
class SwitchLinear {
 public:
  SwitchLinear(
      Weights& weights, const std::string& path, int in_dims, int out_dims, int num_experts,
      bool has_bias = false, Sharding sharding = Sharding::none);

  /// Rows (…, 1, in) → (…, 1, out), a row for each route.
  mx::array operator()(const mx::array& x, const Routes& routes) const;

 private:
  /// What an adapter adds.
  mx::array update(const mx::array& x, const Routes& routes) const;

  Matrix matrix_;
  mx::array bias_;                   // (experts, 1, out), empty without bias
  std::optional<LowRank> low_rank_;  // of an adapter: a (experts, r, in), b (experts, out, r)
};

/// What experts compute of their gate's and their own projection.
using GatedActivation = std::function<mx::array(const mx::array& gate, const mx::array& x)>;

/// Experts with a gate: down_proj(activation(gate_proj(x), up_proj(x))). Processes may share each
/// of them: hidden_dims is then the part of this one, and the results are to be summed up.
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
  TokenRoutes token_routes_;
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
  TokenRoutes token_routes_;
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
