#pragma once

#include <optional>
#include <string>

#include "adapter.h"
#include "nn/matrix.h"
#include "weights.h"

/// Refuses an update whose matrices a and b do not lead from `a_dims` to `b_dims` over a common
/// rank ("tensor_shape"): a (a_dims, r), b (r, b_dims).
void check_low_rank(const LowRank& update, int a_dims, int b_dims, const std::string& path);
/// The same for a stack of experts: a (n, r, in), b (n, out, r).
void check_low_rank(
    const LowRank& update, int num_experts, int in_dims, int out_dims, const std::string& path);

/// What an adapter changes of a linear module. LoRA adds a product of two small matrices
/// (https://arxiv.org/abs/2106.09685); DoRA then gives every output a length of its own
/// (https://arxiv.org/abs/2402.09353).
class LoRA {
 public:
  /// The update of the module at a path, whose matrix is (out, in), if the adapter has one. Throws
  /// "tensor_shape" for one that does not fit.
  static std::optional<LoRA> of(
      Weights& weights, const std::string& path, const Matrix& matrix, int in_dims, int out_dims);

  /// Inputs x (n, in) and what the matrix makes of them, y (n, out) → (n, out)
  mx::array operator()(const mx::array& x, const mx::array& y) const;

 private:
  LoRA(LowRank update, const Matrix& matrix);

  LowRank update_;
  mx::array length_;  // (out), of DoRA only
};
