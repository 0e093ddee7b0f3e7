#include "nn/switch_layers.h"

#include <numeric>
#include <utility>
#include <vector>

#include "engine_error.h"
#include "nn/lora.h"

using mx::array;

namespace {

// From this many rows on, experts are quicker one after the other than in the order of tokens.
constexpr size_t rows_worth_sorting = 64;

/// Runs experts over tokens (n, D), each token's experts being indices (n, k) → (n, k, D). `first`
/// makes the hidden rows, `second` leads back to D.
template <typename First>
array switch_experts(
    const array& x, const array& indices, First first, const SwitchLinear& second,
    const TokenRoutes& token_routes) {
  const int n = indices.dim(0);
  const int k = indices.dim(1);
  if (n == 1) {
    const array hidden = first(mx::expand_dims(x, 0), token_routes.same_row(indices));
    return mx::squeeze(second(hidden, token_routes.own_row(indices)), 2);
  }
  if (indices.size() < rows_worth_sorting) {
    const Routes routes{.experts = indices, .rows = {}};
    const array hidden = first(mx::reshape(x, {n, 1, 1, -1}), routes);
    return mx::squeeze(second(hidden, routes), 2);
  }
  const array flat = mx::reshape(indices, {-1});
  const array order = mx::argsort(flat, 0);
  const uint32_t per_token = static_cast<uint32_t>(k);
  const array tokens = mx::floor_divide(order, mx::from_data(std::span(&per_token, 1)));
  const Routes routes{.experts = mx::take(flat, order, 0), .rows = {}, .sorted = true};
  const array hidden = first(mx::expand_dims(mx::take(x, tokens, 0), 1), routes);
  const array result = second(hidden, routes);  // (n · k, 1, D)
  return mx::reshape(mx::take(result, mx::argsort(order, 0), 0), {n, k, -1});
}

array rows_of_token(std::span<const uint32_t> rows) {
  return mx::from_data(rows, {1, static_cast<int>(rows.size())});
}

}  // namespace

Routes TokenRoutes::same_row(const array& indices) const {
  if (!zeros_) zeros_ = rows_of_token(std::vector<uint32_t>(indices.size()));
  return {.experts = indices, .rows = zeros_};
}

Routes TokenRoutes::own_row(const array& indices) const {
  if (!numbers_) {
    std::vector<uint32_t> numbers(indices.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    numbers_ = rows_of_token(numbers);
  }
  return {.experts = indices, .rows = numbers_};
}

SwitchLinear::SwitchLinear(
    Weights& weights, const std::string& path, int in_dims, int out_dims, int num_experts,
    bool has_bias, Sharding sharding)
    : matrix_(weights, path, num_experts, in_dims, out_dims, sharding) {
  // On the CPU MLX has this product in float32 only.
  if (matrix_.transposed && !mx::on_gpu() && matrix_.transposed.dtype() != mx::float32) {
    matrix_.transposed = mx::astype(matrix_.transposed, mx::float32);
    weights.hold(matrix_.transposed);
  }
  low_rank_ = weights.low_rank(path);
  if (low_rank_) check_low_rank(*low_rank_, num_experts, in_dims, out_dims, path);
  if (!has_bias) return;
  const array bias = weights.take(path + ".bias", {num_experts, out_dims});
  if (bias) bias_ = mx::expand_dims(bias, 1);
}

array SwitchLinear::operator()(const array& x, const Routes& routes) const {
  const auto& [experts, rows, sorted] = routes;
  array y;
  if (matrix_.quantization) {
    const auto& [group_size, bits, mode] = *matrix_.quantization;
    y = mx::gather_qmm(
        x, matrix_.weight, matrix_.scales, matrix_.biases, rows, experts, group_size, bits, mode,
        sorted);
    if (matrix_.output_scale) {
      const array scales = mx::take(matrix_.output_scale, experts, 0);
      y = scaled(y, mx::expand_dims(mx::expand_dims(scales, -1), -1));
    }
  } else {
    y = mx::astype(mx::gather_mm(x, matrix_.transposed, rows, experts, sorted), x.dtype());
  }
  if (bias_) y = y + mx::take(bias_, experts, 0);
  return low_rank_ ? y + mx::astype(update(x, routes), x.dtype()) : y;
}

array SwitchLinear::update(const array& x, const Routes& routes) const {
  const auto& [experts, rows, sorted] = routes;
  const auto multiply = [&](const array& x, const array& matrices, const array& rows) {
    // On the CPU MLX has this product in float32 only.
    const array exact = mx::astype(mx::swapaxes(matrices, -1, -2), mx::float32);
    return mx::gather_mm(mx::astype(x, mx::float32), exact, rows, experts, sorted);
  };
  const array narrow = multiply(x, low_rank_->a, rows);
  // By now every product has a row of its own.
  const int products = static_cast<int>(experts.size());
  const array own = rows ? mx::reshape(mx::arange(0, products, 1, mx::uint32), {1, -1}) : rows;
  return multiply(narrow, low_rank_->b, own) * low_rank_->scale;
}

SwitchGLU::SwitchGLU(
    Weights& weights, const std::string& path, int in_dims, int hidden_dims, int num_experts,
    GatedActivation activation, bool has_bias)
    : gate_proj_(
          weights, path + ".gate_proj", in_dims, hidden_dims, num_experts, has_bias,
          Sharding::all_to_sharded),
      up_proj_(
          weights, path + ".up_proj", in_dims, hidden_dims, num_experts, has_bias,
          Sharding::all_to_sharded),
      down_proj_(
          weights, path + ".down_proj", hidden_dims, in_dims, num_experts, has_bias,
          Sharding::sharded_to_all),
      activation_(std::move(activation)) {}

array SwitchGLU::operator()(const array& x, const array& indices) const {
  const auto hidden = [this](const array& rows, const Routes& routes) {
    return activation_(gate_proj_(rows, routes), up_proj_(rows, routes));
  };
  return switch_experts(x, indices, hidden, down_proj_, token_routes_);
}

SwitchMLP::SwitchMLP(
    Weights& weights, const std::string& path, int in_dims, int hidden_dims, int num_experts,
    std::function<array(const array&)> activation, bool has_bias)
    : fc1_(weights, path + ".fc1", in_dims, hidden_dims, num_experts, has_bias),
      fc2_(weights, path + ".fc2", hidden_dims, in_dims, num_experts, has_bias),
      activation_(std::move(activation)) {}

array SwitchMLP::operator()(const array& x, const array& indices) const {
  const auto hidden = [this](const array& rows, const Routes& routes) {
    return activation_(fc1_(rows, routes));
  };
  return switch_experts(x, indices, hidden, fc2_, token_routes_);
}

array top_k(const array& scores, int k) {
  const int experts = scores.dim(-1);
  return mx::slice(mx::argpartition(scores, -k, -1), -1, experts - k, experts);
}

array weighted_sum(const array& experts, const array& scores) {
  const array sum = mx::sum(experts * mx::expand_dims(scores, -1), -2);  // (n, 1, D)
  return mx::astype(mx::squeeze(sum, -2), experts.dtype());
}

void stack_experts(
    Weights& weights, const std::string& path, const std::string& from, const std::string& to,
    int num_experts, const std::string& experts, const std::string& stacked) {
  for (const char* part : {".weight", ".scales", ".biases", ".output_scale", ".bias"}) {
    if (!weights.has(path + "." + experts + ".0." + from + part)) continue;
    std::vector<array> all;
    for (int i = 0; i < num_experts; i++) {
      const std::string name = path + "." + experts + "." + std::to_string(i) + "." + from + part;
      all.push_back(weights.extract(name));
      if (!all.back()) return;  // missing, and noted as such
      if (all.back().shape() != all.front().shape()) {
        throw EngineError("tensor_shape", "tensor " + name + " has another shape than expert 0's");
      }
    }
    weights.put(path + "." + stacked + "." + to + part, mx::stack(all, 0));
  }
}
