#include "mlx/metal_kernel.h"

#include "mlx/error.h"
#include "mlx/stream.h"
#include "mlx/vector_array.h"

namespace mx {
namespace {

/// Names as mlx-c takes them.
class Names {
 public:
  explicit Names(std::initializer_list<const char*> names) : handle_(mlx_vector_string_new()) {
    for (const char* name : names) mlx_vector_string_append_value(handle_, name);
  }
  ~Names() { mlx_vector_string_free(handle_); }
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  mlx_vector_string get() const { return handle_; }

 private:
  mlx_vector_string handle_;
};

/// A launch as mlx-c takes it.
class LaunchConfig {
 public:
  explicit LaunchConfig(const MetalKernel::Launch& launch)
      : handle_(mlx_fast_metal_kernel_config_new()) {
    const auto& [grid, thread_group, outputs, constants, types] = launch;
    mlx_fast_metal_kernel_config_set_grid(handle_, grid[0], grid[1], grid[2]);
    mlx_fast_metal_kernel_config_set_thread_group(
        handle_, thread_group[0], thread_group[1], thread_group[2]);
    for (const auto& [shape, dtype] : outputs) {
      mlx_fast_metal_kernel_config_add_output_arg(handle_, shape.data(), shape.size(), dtype);
    }
    for (const auto& [name, value] : constants) {
      mlx_fast_metal_kernel_config_add_template_arg_int(handle_, name, value);
    }
    for (const auto& [name, type] : types) {
      mlx_fast_metal_kernel_config_add_template_arg_dtype(handle_, name, type);
    }
  }
  ~LaunchConfig() { mlx_fast_metal_kernel_config_free(handle_); }
  LaunchConfig(const LaunchConfig&) = delete;
  LaunchConfig& operator=(const LaunchConfig&) = delete;

  mlx_fast_metal_kernel_config get() const { return handle_; }

 private:
  mlx_fast_metal_kernel_config handle_;
};

}  // namespace

MetalKernel::MetalKernel(
    const char* name, const char* body, std::initializer_list<const char*> inputs,
    std::initializer_list<const char*> outputs)
    : handle_(mlx_fast_metal_kernel_new(
          name, Names(inputs).get(), Names(outputs).get(), body, /* header */ "",
          /* ensure_row_contiguous */ true, /* atomic_outputs */ false)) {
  if (!handle_.ctx) throw_last_error();
}

std::vector<array> MetalKernel::operator()(
    std::span<const array> inputs, const Launch& launch) const {
  const VectorArray arguments(inputs);
  const LaunchConfig config(launch);
  VectorArray outputs;
  check(mlx_fast_metal_kernel_apply(
      outputs.out(), handle_, arguments.get(), config.get(), current_stream));
  return outputs.to_vector();
}

}  // namespace mx
