#pragma once

#include <optional>
#include <string>

#include "mlx/ops.h"
#include "nn/lora.h"
#include "nn/matrix.h"
#include "weights.h"

/// y = x @ weightᵀ + bias. Where processes share it, (in_dims, out_dims) is the part of this one.
class Linear {
 public:
  Linear(
      Weights& weights, const std::string& path, int in_dims, int out_dims, bool has_bias = false)
      : Linear(weights, path, in_dims, out_dims, Sharding::none, has_bias) {}
  Linear(
      Weights& weights, const std::string& path, int in_dims, int out_dims, Sharding sharding,
      bool has_bias = false);

  mx::array operator()(const mx::array& x) const;

 private:
  Matrix matrix_;
  mx::array bias_;            // (out), empty without bias
  std::optional<LoRA> lora_;  // of an adapter
  mx::Group group_;           // over which results are summed up, if they are
};

/// Token vectors, which a tied head uses again as its matrix.
class Embedding {
 public:
  Embedding(Weights& weights, const std::string& path, int vocab_size, int dims);

  /// (B, L) token ids → (B · L, D)
  mx::array operator()(const mx::array& tokens) const;
  /// (n, D) → (n, vocab)
  mx::array as_linear(const mx::array& x) const;

 private:
  mx::array dense_rows(const mx::array& ids) const;

  Matrix matrix_;
  std::optional<LowRank> low_rank_;  // of an adapter: a (vocab, r), b (r, D)
};
