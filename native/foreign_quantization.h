#pragma once

#include <map>
#include <string>

#include "config.h"
#include "mlx/array.h"

/// Checkpoints that other tools quantized, told by `quantization_config.quant_method`, in MLX's
/// layout. All of them round to a grid of the same form, so nothing is lost:
///   awq                  AutoAWQ, 4 bits: https://arxiv.org/abs/2306.00978
///   gptq                 GPTQ, 4 or 8 bits, without reordered groups:
///   https://arxiv.org/abs/2210.17323 compressed-tensors   pack-quantized, nvfp4-pack-quantized,
///   mxfp4-pack-quantized modelopt             NVFP4 fp8                  8-bit floats in blocks,
///   which become bfloat16
/// MLX's own and those that a model reads by itself (mxfp4, bitnet) are left as they are.
///
/// A module's packed `weight`, `scales` and `biases` come to stand where its tensors stood;
/// `output_scale` is a factor of all its outputs. Throws "bad_config" for what MLX cannot hold,
/// "missing_tensor" and "tensor_shape" for a checkpoint that contradicts itself.
void adopt_foreign_quantization(
    const Config& quantization_config, std::map<std::string, mx::array>& tensors);
