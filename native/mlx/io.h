#pragma once

#include <map>
#include <string>

#include "mlx/array.h"

namespace mx {

/// The tensors of a safetensors file by name; their data is read when they are first evaluated.
std::map<std::string, array> load_safetensors(const std::string& file);

/// Writes tensors into a safetensors file, in the form that mlx-lm gives its own.
void save_safetensors(const std::string& file, const std::map<std::string, array>& tensors);

}  // namespace mx
