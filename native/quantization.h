#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "mlx/array.h"

/// How a matrix is quantized: `mode` is one of MLX's ("affine", "mxfp4", "mxfp8", "nvfp4").
struct Quantization {
  int group_size = 0;
  int bits = 0;
  std::string mode;

  bool operator==(const Quantization&) const = default;
};

/// The quantization that an object of config.json asks for; what it leaves out is MLX's default.
/// Throws "bad_config", naming `place`, where MLX has none such.
Quantization to_quantization(const Config& entry, const std::string& place);

/// The quantization of packed weights (…, in · bits / 32) and scales (…, in / group_size) of which
/// config.json tells nothing. Throws "tensor_shape" or "bad_config", naming `place`.
Quantization infer_quantization(
    const mx::array& weight, const mx::array& scales, int in_dims, const std::string& place);

/// What is done to the tensors of a checkpoint while they are loaded.
struct Conversion {
  std::optional<Quantization> quantize;  // dense matrices become quantized
  std::string recipe;                    // mlx-lm's mixed_2_6, mixed_3_4, mixed_3_6 or mixed_4_6
  bool dequantize = false;               // quantized matrices become dense
  std::optional<mx::Dtype> dtype;        // floating-point tensors are cast
};

/// The number type that options name under "dtype", if they do.
std::optional<mx::Dtype> to_dtype(const Config& options);

/// Reads a conversion as JavaScript gives it: `quantize` (an object as config.json has it, with
/// `recipe`), `dequantize`, `dtype`.
Conversion to_conversion(const Config& options);

/// The quantization that a mixed recipe gives a module: more bits where errors cost most, as
/// llama.cpp's Q4_K_M and mlx-lm choose.
Quantization mixed_quantization(
    const std::string& recipe, int group_size, const std::string& path, int num_layers);
