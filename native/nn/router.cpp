#include "nn/router.h"

using mx::array;

namespace {

/// Scores (n, experts) with zeros for the experts of all but the best groups.
array within_best_groups(const array& scores, const RouterArgs& args) {
  const int n = scores.dim(0);
  const int left_out = args.n_group - args.topk_group;
  const array grouped = mx::reshape(scores, {n, args.n_group, -1});
  const array worth = mx::sum(mx::topk(grouped, args.best_of_group, -1), -1);  // (n, groups, 1)
  const array worst =
      mx::slice(mx::argpartition(worth, left_out - 1, -2), -2, 0, left_out);  // (n, left out, 1)
  const array zero = mx::scalar(0.0f, scores.dtype());
  return mx::reshape(mx::put_along_axis(grouped, worst, zero, -2), {n, -1});
}

}  // namespace

void check_router(const RouterArgs& args) {
  const std::string experts = std::to_string(args.num_experts) + " experts";
  const std::string groups = "\"n_group\" (" + std::to_string(args.n_group) + ")";
  if (args.num_experts % args.n_group != 0) refuse_config(groups + " does not divide " + experts);
  const int per_group = args.num_experts / args.n_group;
  if (args.n_group > 1 && per_group < args.best_of_group) {
    refuse_config(groups + " leaves too few of " + experts + " to each group");
  }
  if (args.topk_group > args.n_group) {
    refuse_config(
        "\"topk_group\" (" + std::to_string(args.topk_group) + ") is more than " + groups);
  }
  if (args.top_k > per_group * args.topk_group) {
    refuse_config(
        "\"num_experts_per_tok\" (" + std::to_string(args.top_k) +
        ") is more than the experts to choose from");
  }
}

Routing group_expert_select(
    const array& scores, const array& correction_bias, const RouterArgs& args) {
  array choice = correction_bias ? scores + correction_bias : scores;
  if (args.topk_group < args.n_group) choice = within_best_groups(choice, args);
  const array experts = mx::slice(mx::argpartition(-choice, args.top_k - 1, -1), -1, 0, args.top_k);
  array chosen = mx::take_along_axis(scores, experts, -1);
  if (args.top_k > 1 && args.norm_topk_prob) {
    // Sigmoids can all be zero.
    chosen = chosen / (mx::sum(chosen, -1) + 1e-20f);
  }
  return {experts, chosen * args.scaling_factor};
}

MoEGate::MoEGate(Weights& weights, const std::string& path, int hidden_size, const RouterArgs& args)
    : args_(args),
      weight_(weights.take(path + ".weight", {args.num_experts, hidden_size})),
      e_score_correction_bias_(
          weights.take(path + ".e_score_correction_bias", {args.num_experts})) {
  if (weight_) weight_ = mx::swapaxes(weight_, 0, 1);
}

Routing MoEGate::operator()(const array& x) const {
  const array gates = mx::matmul(x, weight_);
  const array scores = mx::sigmoid(mx::astype(gates, mx::float32));
  return group_expert_select(scores, e_score_correction_bias_, args_);
}
