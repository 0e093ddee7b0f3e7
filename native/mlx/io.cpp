#include "mlx/io.h"

namespace mx {

std::map<std::string, array> load_safetensors(const std::string& file) {
  mlx_map_string_to_array tensors = mlx_map_string_to_array_new();
  mlx_map_string_to_string metadata = mlx_map_string_to_string_new();
  // Files are read on the CPU whatever the model computes on.
  mlx_stream cpu = mlx_default_cpu_stream_new();
  const int return_code = mlx_load_safetensors(&tensors, &metadata, file.c_str(), cpu);
  mlx_stream_free(cpu);
  mlx_map_string_to_string_free(metadata);

  std::map<std::string, array> result;
  if (return_code == 0) {
    auto iterator = mlx_map_string_to_array_iterator_new(tensors);
    const char* name = nullptr;
    mlx_array tensor{nullptr};
    while (mlx_map_string_to_array_iterator_next(&name, &tensor, iterator) == 0) {
      result.emplace(name, array(std::exchange(tensor, mlx_array{nullptr})));
    }
    mlx_map_string_to_array_iterator_free(iterator);
  }
  mlx_map_string_to_array_free(tensors);
  check(return_code);
  return result;
}

void save_safetensors(const std::string& file, const std::map<std::string, array>& tensors) {
  mlx_map_string_to_array map = mlx_map_string_to_array_new();
  mlx_map_string_to_string metadata = mlx_map_string_to_string_new();
  mlx_map_string_to_string_insert(metadata, "format", "mlx");
  for (const auto& [name, tensor] : tensors) {
    mlx_map_string_to_array_insert(map, name.c_str(), tensor.get());
  }
  const int return_code = mlx_save_safetensors(file.c_str(), map, metadata);
  mlx_map_string_to_string_free(metadata);
  mlx_map_string_to_array_free(map);
  check(return_code);
}

}  // namespace mx
