#pragma once

#include <map>
#include <string>

#include "config.h"
#include "mlx/array.h"

/// Checkpoints that other tools quantized, told by `quantization_config.quant_method`, in MLX's
/// layout. All of them round to a grid of the same form, so nothing is lost:
///   awq                 AutoAWQ, 4 bits: https://arxiv.org/abs/2306.00978
///   bitnet              ternary weights: https://arxiv.org/abs/2402.17764
///   compressed-tensors  pack-quantized, nvfp4-pack-quantized, mxfp4-pack-quantized
///   fp8                 8-bit floats in blocks, which become bfloat16
///   gptq                4 or 8 bits, groups in order: https://arxiv.org/abs/2210.17323
///   modelopt            NVFP4
/// MLX's own and those that a model reads by itself (mxfp4) are left as they are.
///
/// A module's packed `weight`, `scales` and `biases` come to stand where its tensors stood;
/// `output_scale` is a factor of all its outputs. Throws "bad_config" for what MLX cannot hold,
/// "missing_tensor" and "tensor_shape" for a checkpoint that contradicts itself.
void adopt_foreign_quantization(
    const Config& quantization_config, std::map<std::string, mx::array>& tensors);
