#pragma once

#include <string>

#include "mlx/ops.h"
#include "weights.h"

/// Which experts each token goes to (n, k), and how much each of them counts (n, k).
struct Routing {
  mx::array experts;
  mx::array scores;
};

/// How a router chooses: the `top_k` best of `num_experts`. Where the experts form groups, only
/// those of the `topk_group` best groups come into question.
struct RouterArgs {
  int num_experts;
  int top_k;
  int n_group = 1;
  int topk_group = 1;
  int best_of_group = 2;       // a group is worth the sum of its so many best experts
  bool norm_topk_prob = true;  // scores of a token sum up to one
  float scaling_factor = 1.0f;
};

/// Refuses experts and groups that do not fit each other ("bad_config").
void check_router(const RouterArgs& args);

/// Routes tokens by their scores (n, experts). `correction_bias` (experts) balances the choice, but
/// not how much an expert counts; it may be empty.
Routing group_expert_select(
    const mx::array& scores, const mx::array& correction_bias, const RouterArgs& args);

/// The router of DeepSeek V3 and its many successors: a sigmoid for each expert.
class MoEGate {
 public:
  MoEGate(Weights& weights, const std::string& path, int hidden_size, const RouterArgs& args);

  /// Tokens (n, D) → the experts of each.
  Routing operator()(const mx::array& x) const;

 private:
  RouterArgs args_;
  mx::array weight_;                   // (D, experts), a view that is never quantized
  mx::array e_score_correction_bias_;  // (experts)
};
