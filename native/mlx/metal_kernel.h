#pragma once

#include <array>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mlx/array.h"

/// The body of a kernel of ours as text. Kept in a file of its own, it stays code, which a test can
/// compile; so nothing but comments may stand outside of the parentheses.
#define METAL_KERNEL(...) #__VA_ARGS__

namespace mx {

/// A kernel of our own for Metal, where MLX has no op that does as much at once. MLX writes the
/// function around its body: parameters named as inputs and outputs, `NAME_shape` of an input, and
/// Metal's own such as `thread_position_in_grid`, as far as the body names them. Only a thread
/// whose stream is `on_metal` can make one.
class MetalKernel {
 public:
  MetalKernel(
      const char* name, const char* body, std::initializer_list<const char*> inputs,
      std::initializer_list<const char*> outputs);
  ~MetalKernel() { mlx_fast_metal_kernel_free(handle_); }
  MetalKernel(const MetalKernel&) = delete;
  MetalKernel& operator=(const MetalKernel&) = delete;

  struct Output {
    Shape shape;
    Dtype dtype;
  };

  /// One use of the kernel. Each set of constants and types is compiled once.
  struct Launch {
    std::array<int, 3> grid;          // threads in all
    std::array<int, 3> thread_group;  // threads that run together
    std::vector<Output> outputs;
    std::vector<std::pair<const char*, int>> constants;
    std::vector<std::pair<const char*, Dtype>> types;
  };

  /// The inputs are copied where they are not contiguous.
  std::vector<array> operator()(std::span<const array> inputs, const Launch& launch) const;

 private:
  mlx_fast_metal_kernel handle_;
};

}  // namespace mx
