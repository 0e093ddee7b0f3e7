#pragma once

#include <map>
#include <string>

#include "mlx/array.h"

namespace mx {

/// The tensors of a safetensors file by name; their data is read when they are first evaluated.
std::map<std::string, array> load_safetensors(const std::string& file);

}  // namespace mx
