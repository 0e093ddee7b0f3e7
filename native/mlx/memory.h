#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace mx {

/// Bytes held by MLX.
struct Memory {
  size_t active;
  size_t cache;
  size_t peak;
};
Memory memory();

/// Gives the buffers that MLX keeps for reuse back to the system.
void clear_cache();

/// The default device; sizes in bytes where the platform tells them.
struct Device {
  bool gpu;
  std::string name;
  std::optional<size_t> memory_size;
  std::optional<size_t> max_recommended_working_set_size;
};
Device default_device();

/// Bytes to keep resident for a model on Metal, or none: wiring pays only when the weights fill
/// most of what the GPU may use, and costs the rest of the system memory otherwise.
std::optional<size_t> wired_limit_for(size_t model_bytes, const Device& device);
void set_wired_limit(size_t bytes);

std::string version();

}  // namespace mx
