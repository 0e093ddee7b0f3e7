#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "mlx/array.h"

namespace mx {

/// The tensors of a safetensors file by name; their data is read when they are first evaluated.
std::map<std::string, array> load_safetensors(const std::string& file);

/// The same of a file that is none, but keeps plain arrays as well: `header` is what a safetensors
/// file would begin with, and its data are the bytes of the file from `data_offset` on.
std::map<std::string, array> load_safetensors(
    const std::string& file, const std::string& header, int64_t data_offset);

/// Writes tensors into a safetensors file; the metadata are those that mlx-lm gives its weights,
/// unless told.
void save_safetensors(
    const std::string& file, const std::map<std::string, array>& tensors,
    const std::map<std::string, std::string>& metadata = {{"format", "mlx"}});

/// Bytes of an element, and the name of the type in a safetensors file.
size_t size_of(Dtype dtype);
const char* safetensors_name(Dtype dtype);

/// The bytes of an array that is computed, and whose rows follow each other.
std::span<const char> raw_bytes(const array& a);

}  // namespace mx
