#pragma once

#include <map>
#include <string>

#include "config.h"
#include "mlx/array.h"

/// The tensors of a GGUF file in MLX's layout, as `NativeGguf` of src/mlx/native-types.ts describes
/// it. Its packed types have blocks of 32 numbers with a scale, which are MLX's affine groups:
///   Q4_0 Q4_1 Q4_K   4 bits, nothing is lost
///   Q5_0 Q5_1 Q5_K   5 bits, nothing is lost
///   Q8_0             8 bits, nothing is lost
///   Q6_K             has blocks of 16, which MLX lacks: 8 bits, a fraction of its own step apart
/// Scales have 16 bits. MLX's own reader of GGUF makes most of these dense, gets Q4_K wrong, and
/// wants to write to the file.
std::map<std::string, mx::array> load_gguf(const Config& gguf);
