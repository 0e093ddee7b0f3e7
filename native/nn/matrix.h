#pragma once

#include <optional>
#include <string>

#include "mlx/ops.h"
#include "weights.h"

/// A matrix of a checkpoint, dense or quantized as the checkpoint stores it; or a stack of them
/// (experts, heads), whose arrays have the number of matrices as one more axis before the others.
struct Matrix {
  mx::array weight;        // dense (out, in); quantized (out, in · bits / 32) packed in uint32
  mx::array transposed;    // dense (in, out); weight or this is a view of the other
  mx::array scales;        // (out, in / group_size), empty when dense
  mx::array biases;        // as scales, affine only
  mx::array output_scale;  // float32, of all that comes out; empty where it is 1
  std::optional<Quantization> quantization;

  /// Of a matrix that processes share, (in_dims, out_dims) is the part of this one.
  Matrix(
      Weights& weights, const std::string& path, int in_dims, int out_dims,
      Sharding sharding = Sharding::none);
  /// A stack of `count` matrices.
  Matrix(
      Weights& weights, const std::string& path, int count, int in_dims, int out_dims,
      Sharding sharding = Sharding::none);

  /// x @ weightᵀ: (…, in) → (…, out)
  mx::array operator()(const mx::array& x) const;
  /// Dense rows of packed ones, output_scale included.
  mx::array rows(const mx::array& weight, const mx::array& scales, const mx::array& biases) const;

 private:
  Matrix(
      Weights& weights, const std::string& path, mx::Shape stack, int in_dims, int out_dims,
      Sharding sharding);
  void quantize(Weights& weights, const std::string& path);
  void dequantize();
  void transpose(Weights& weights, const std::string& path);
};

/// x · scale, computed in float32.
mx::array scaled(const mx::array& x, const mx::array& scale);
