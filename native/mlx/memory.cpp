#include "mlx/memory.h"

#include <mlx/c/mlx.h>

#include "mlx/error.h"

namespace mx {
namespace {

std::optional<size_t> info_size(mlx_device_info info, const char* key) {
  size_t value = 0;
  if (mlx_device_info_get_size(&value, info, key) != 0) return std::nullopt;
  return value;
}

}  // namespace

Memory memory() {
  Memory result{};
  check(mlx_get_active_memory(&result.active));
  check(mlx_get_cache_memory(&result.cache));
  check(mlx_get_peak_memory(&result.peak));
  return result;
}

void clear_cache() { check(mlx_clear_cache()); }

Device default_device() {
  mlx_device device = mlx_device_new();
  check(mlx_get_default_device(&device));
  mlx_device_type type = MLX_CPU;
  check(mlx_device_get_type(&type, device));
  Device result{};
  result.gpu = type == MLX_GPU;
  result.name = result.gpu ? "gpu" : "cpu";
  mlx_device_info info = mlx_device_info_new();
  if (mlx_device_info_get(&info, device) == 0) {
    const char* name = nullptr;
    if (mlx_device_info_get_string(&name, info, "device_name") == 0 && name) result.name = name;
    result.memory_size = info_size(info, "memory_size");
    result.max_recommended_working_set_size = info_size(info, "max_recommended_working_set_size");
  }
  mlx_device_info_free(info);
  mlx_device_free(device);
  return result;
}

std::optional<size_t> wired_limit_for(size_t model_bytes, const Device& device) {
  if (!device.gpu || !device.max_recommended_working_set_size) return std::nullopt;
  const size_t working_set = *device.max_recommended_working_set_size;
  if (model_bytes < working_set / 10 * 7) return std::nullopt;
  return working_set;
}

void set_wired_limit(size_t bytes) {
  size_t previous = 0;
  check(mlx_set_wired_limit(&previous, bytes));
}

std::string version() {
  mlx_string text = mlx_string_new();
  check(mlx_version(&text));
  std::string result = mlx_string_data(text);
  mlx_string_free(text);
  return result;
}

}  // namespace mx
