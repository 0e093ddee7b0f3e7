#pragma once

#include <array>
#include <span>
#include <vector>

#include "mlx/array.h"

namespace mx {

inline std::vector<array> to_vector(mlx_vector_array list) {
  std::vector<array> arrays;
  for (size_t i = 0; i < mlx_vector_array_size(list); i++) {
    mlx_array element{nullptr};
    check(mlx_vector_array_get(&element, list, i));
    arrays.emplace_back(element);
  }
  return arrays;
}

/// Arrays as mlx-c takes and gives a list of them.
class VectorArray {
 public:
  VectorArray() = default;
  explicit VectorArray(std::span<const array> arrays) {
    // Most lists are short: their handles need no memory of their own.
    std::array<mlx_array, 4> few;
    std::vector<mlx_array> many;
    std::span<mlx_array> handles(few);
    if (arrays.size() > few.size()) {
      many.resize(arrays.size());
      handles = many;
    }
    for (size_t i = 0; i < arrays.size(); i++) handles[i] = arrays[i].get();
    handle_ = mlx_vector_array_new_data(handles.data(), arrays.size());
  }
  ~VectorArray() { mlx_vector_array_free(handle_); }
  VectorArray(const VectorArray&) = delete;
  VectorArray& operator=(const VectorArray&) = delete;

  mlx_vector_array get() const { return handle_; }
  /// Where mlx-c shall put a list.
  mlx_vector_array* out() { return &handle_; }

  std::vector<array> to_vector() const { return mx::to_vector(handle_); }

 private:
  mlx_vector_array handle_{nullptr};
};

}  // namespace mx
