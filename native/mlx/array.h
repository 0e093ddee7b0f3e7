#pragma once

#include <mlx/c/mlx.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "mlx/error.h"

namespace mx {

using Shape = std::vector<int>;

/// The element types that the engine names; MLX has more.
using Dtype = mlx_dtype;
inline constexpr Dtype bool_ = MLX_BOOL;
inline constexpr Dtype uint8 = MLX_UINT8;
inline constexpr Dtype uint32 = MLX_UINT32;
inline constexpr Dtype int32 = MLX_INT32;
inline constexpr Dtype float16 = MLX_FLOAT16;
inline constexpr Dtype bfloat16 = MLX_BFLOAT16;
inline constexpr Dtype float32 = MLX_FLOAT32;

/// Whether it is one of those that models compute in.
inline bool is_floating(Dtype dtype) {
  return dtype == float32 || dtype == bfloat16 || dtype == float16;
}

/// An MLX array. Copies share the data; an empty one holds nothing and stands for "not given".
class array {
 public:
  array() = default;
  explicit array(mlx_array handle) : handle_(handle) {}
  array(const array& other) {
    if (other.handle_.ctx) check(mlx_array_set(&handle_, other.handle_));
  }
  array(array&& other) noexcept : handle_(std::exchange(other.handle_, mlx_array{nullptr})) {}
  array& operator=(array other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~array() {
    if (handle_.ctx) mlx_array_free(handle_);
  }

  explicit operator bool() const { return handle_.ctx != nullptr; }
  mlx_array get() const { return handle_; }

  int ndim() const { return static_cast<int>(mlx_array_ndim(handle_)); }
  /// Size of an axis; a negative axis counts from the last.
  int dim(int axis) const { return mlx_array_shape(handle_)[axis < 0 ? axis + ndim() : axis]; }
  Shape shape() const {
    const int* sizes = mlx_array_shape(handle_);
    return Shape(sizes, sizes + ndim());
  }
  size_t size() const { return mlx_array_size(handle_); }
  size_t nbytes() const { return mlx_array_nbytes(handle_); }
  Dtype dtype() const { return mlx_array_dtype(handle_); }

  /// The value of an array of one element; waits until it is computed.
  uint32_t item_uint32() const {
    uint32_t value = 0;
    check(mlx_array_item_uint32(&value, handle_));
    return value;
  }
  float item_float32() const {
    float value = 0;
    check(mlx_array_item_float32(&value, handle_));
    return value;
  }

 private:
  mlx_array handle_{nullptr};
};

/// New arrays over copied data; the shape is that of the span unless given.
array from_data(std::span<const float> values, Shape shape = {});
array from_data(std::span<const uint32_t> values, Shape shape = {});
array from_data(std::span<const int32_t> values, Shape shape = {});

/// A scalar of the given floating type, so that no operand is promoted by a constant.
array scalar(float value, Dtype dtype);

/// Computes arrays and waits for them.
void eval(std::span<const array> arrays);
/// Starts computing arrays and returns.
void async_eval(std::span<const array> arrays);

/// The elements of a float32 or uint32 array, computed and copied out row by row.
std::vector<float> to_floats(const array& a);
std::vector<uint32_t> to_uint32s(const array& a);

}  // namespace mx
