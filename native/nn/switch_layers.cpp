#include "nn/switch_layers.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "nn/lora.h"

using mx::array;

namespace {

// From this many rows on, experts are quicker one after the other than in the order of tokens.
constexpr size_t rows_worth_sorting = 64;

/// Runs experts over tokens (n, D), each token's experts being indices (n, k) → (n, k, D).
template <typename Experts>
array switch_experts(const array& x, const array& indices, Experts experts) {
  const int n = indices.dim(0);
  const int k = indices.dim(1);
  if (indices.size() < rows_worth_sorting) {
    const array rows = mx::reshape(x, {n, 1, 1, x.dim(1)});
    const array result = experts(rows, indices, false);  // (n, k, 1, D)
    return mx::reshape(result, {n, k, -1});
  }
  const array flat = mx::reshape(indices, {-1});
  const array order = mx::argsort(flat, 0);
  const uint32_t per_token = static_cast<uint32_t>(k);
  const array tokens = mx::floor_divide(order, mx::from_data(std::span(&per_token, 1)));
  const array rows = mx::expand_dims(mx::take(x, tokens, 0), 1);       // (n · k, 1, D)
  const array result = experts(rows, mx::take(flat, order, 0), true);  // (n · k, 1, D)
  return mx::reshape(mx::take(result, mx::argsort(order, 0), 0), {n, k, -1});
}

}  // namespace

SwitchLinear::SwitchLinear(
    Weights& weights, const std::string& path, int in_dims, int out_dims, int num_experts,
    bool has_bias)
    : matrix_(weights, path, num_experts, in_dims, out_dims) {
  if (has_bias) bias_ = weights.take(path + ".bias", {num_experts, out_dims});
  low_rank_ = weights.low_rank(path);
  if (low_rank_) check_low_rank(*low_rank_, num_experts, in_dims, out_dims, path);
}

array SwitchLinear::operator()(const array& x, const array& indices, bool sorted) const {
  array y;
  if (matrix_.quantization) {
    const auto& [group_size, bits, mode] = *matrix_.quantization;
    y = mx::gather_qmm(
        x, matrix_.weight, matrix_.scales, matrix_.biases, indices, group_size, bits, mode, sorted);
    if (matrix_.output_scale) {
      const array scales = mx::take(matrix_.output_scale, indices, 0);
      y = scaled(y, mx::expand_dims(mx::expand_dims(scales, -1), -1));
    }
  } else {
    y = mx::gather_mm(x, matrix_.transposed, indices, sorted);
  }
  if (bias_) y = y + mx::expand_dims(mx::take(bias_, indices, 0), -2);
  if (!low_rank_) return y;
  const array narrow = mx::gather_mm(x, mx::swapaxes(low_rank_->a, -1, -2), indices, sorted);
  const array update = mx::gather_mm(narrow, mx::swapaxes(low_rank_->b, -1, -2), indices, sorted);
  return y + mx::astype(update * low_rank_->scale, x.dtype());
}

SwitchGLU::SwitchGLU(
    Weights& weights, const std::string& path, int in_dims, int hidden_dims, int num_experts,
    GatedActivation activation, bool has_bias)
    : gate_proj_(weights, path + ".gate_proj", in_dims, hidden_dims, num_experts, has_bias),
      up_proj_(weights, path + ".up_proj", in_dims, hidden_dims, num_experts, has_bias),
      down_proj_(weights, path + ".down_proj", hidden_dims, in_dims, num_experts, has_bias),
      activation_(std::move(activation)) {}

array SwitchGLU::operator()(const array& x, const array& indices) const {
  return switch_experts(x, indices, [&](const array& rows, const array& experts, bool sorted) {
    const array up = up_proj_(rows, experts, sorted);
    const array gate = gate_proj_(rows, experts, sorted);
    return down_proj_(activation_(gate, up), experts, sorted);
  });
}

SwitchMLP::SwitchMLP(
    Weights& weights, const std::string& path, int in_dims, int hidden_dims, int num_experts,
    std::function<array(const array&)> activation, bool has_bias)
    : fc1_(weights, path + ".fc1", in_dims, hidden_dims, num_experts, has_bias),
      fc2_(weights, path + ".fc2", hidden_dims, in_dims, num_experts, has_bias),
      activation_(std::move(activation)) {}

array SwitchMLP::operator()(const array& x, const array& indices) const {
  return switch_experts(x, indices, [&](const array& rows, const array& experts, bool sorted) {
    return fc2_(activation_(fc1_(rows, experts, sorted)), experts, sorted);
  });
}

array top_k(const array& scores, int k) {
  const int experts = scores.dim(-1);
  return mx::slice(mx::argpartition(scores, -k, -1), -1, experts - k, experts);
}

array weighted_sum(const array& experts, const array& scores) {
  return mx::squeeze(mx::sum(experts * mx::expand_dims(scores, -1), -2), -2);
}

void stack_experts(
    Weights& weights, const std::string& path, const std::string& from, const std::string& to,
    int num_experts, const std::string& experts, const std::string& stacked) {
  for (const char* part : {".weight", ".scales", ".biases", ".output_scale", ".bias"}) {
    if (!weights.has(path + "." + experts + ".0." + from + part)) continue;
    std::vector<array> all;
    for (int i = 0; i < num_experts; i++) {
      const std::string expert = path + "." + experts + "." + std::to_string(i) + ".";
      all.push_back(weights.extract(expert + from + part));
    }
    // What is missing has been noted.
    if (!std::ranges::all_of(all, &array::operator bool)) return;
    weights.put(path + "." + stacked + "." + to + part, mx::stack(all, 0));
  }
}
