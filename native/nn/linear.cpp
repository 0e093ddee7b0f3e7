#include "nn/linear.h"

#include "engine_error.h"

using mx::array;

Linear::Linear(
    Weights& weights, const std::string& path, int in_dims, int out_dims, Sharding sharding,
    bool has_bias)
    : matrix_(weights, path, in_dims, out_dims, sharding) {
  if (sharding == Sharding::sharded_to_all) group_ = weights.group();
  if (has_bias && sharding == Sharding::all_to_sharded) {
    bias_ = weights.take(path + ".bias", {out_dims * weights.group().size()}, 0);
  } else if (has_bias) {
    bias_ = weights.take(path + ".bias", {out_dims});
  }
  lora_ = LoRA::of(weights, path, matrix_, in_dims, out_dims);
}

array Linear::operator()(const array& x) const {
  if (lora_) {
    const array y = (*lora_)(x, matrix_(x));
    return bias_ ? y + bias_ : y;
  }
  if (!bias_) return group_.all_sum(matrix_(x));
  if (!matrix_.quantization && group_.is_alone()) return mx::addmm(bias_, x, matrix_.transposed);
  return group_.all_sum(matrix_(x)) + bias_;
}

Embedding::Embedding(Weights& weights, const std::string& path, int vocab_size, int dims)
    : matrix_(weights, path, dims, vocab_size), low_rank_(weights.low_rank(path)) {
  if (!low_rank_) return;
  check_low_rank(*low_rank_, vocab_size, dims, path);
  if (low_rank_->magnitude) {
    throw EngineError("tensor_shape", "the adapter has a magnitude for " + path + ", an embedding");
  }
}

array Embedding::operator()(const array& tokens) const {
  const array ids = mx::reshape(tokens, {-1});
  const array rows = dense_rows(ids);
  if (!low_rank_) return rows;
  const array update = mx::matmul(mx::take(low_rank_->a, ids, 0), low_rank_->b);
  return rows + mx::astype(update * low_rank_->scale, rows.dtype());
}

array Embedding::dense_rows(const array& ids) const {
  const array rows = mx::take(matrix_.weight, ids, 0);
  if (!matrix_.quantization) return rows;
  const array scales = mx::take(matrix_.scales, ids, 0);
  const array biases = matrix_.biases ? mx::take(matrix_.biases, ids, 0) : array();
  return matrix_.rows(rows, scales, biases);
}

array Embedding::as_linear(const array& x) const {
  const array y = matrix_(x);
  if (!low_rank_) return y;
  const array narrow = mx::matmul(x, mx::transpose(low_rank_->b, {1, 0}));
  const array update = mx::matmul(narrow, mx::transpose(low_rank_->a, {1, 0}));
  return y + mx::astype(update * low_rank_->scale, x.dtype());
}
