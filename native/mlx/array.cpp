#include "mlx/array.h"

#include <bit>

#include "mlx/ops.h"
#include "mlx/vector_array.h"

namespace mx {
namespace {

array new_data(const void* data, size_t size, Dtype dtype, Shape shape) {
  if (shape.empty()) shape.push_back(static_cast<int>(size));
  return array(mlx_array_new_data(data, shape.data(), static_cast<int>(shape.size()), dtype));
}

/// The upper half of a float32, rounded to nearest even.
uint16_t to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace

array from_data(std::span<const float> values, Shape shape) {
  return new_data(values.data(), values.size(), float32, std::move(shape));
}

array from_data(std::span<const uint32_t> values, Shape shape) {
  return new_data(values.data(), values.size(), uint32, std::move(shape));
}

array from_data(std::span<const int32_t> values, Shape shape) {
  return new_data(values.data(), values.size(), int32, std::move(shape));
}

array scalar(float value, Dtype dtype) {
  switch (dtype) {
    case float32:
      return array(mlx_array_new_float32(value));
    case bfloat16: {
      const uint16_t bits = to_bfloat16(value);
      return array(mlx_array_new_data(&bits, nullptr, 0, dtype));
    }
    default:
      return astype(array(mlx_array_new_float32(value)), dtype);
  }
}

void eval(std::span<const array> arrays) {
  const VectorArray outputs(arrays);
  check(mlx_eval(outputs.get()));
}

void async_eval(std::span<const array> arrays) {
  const VectorArray outputs(arrays);
  check(mlx_async_eval(outputs.get()));
}

std::vector<float> to_floats(const array& a) {
  const array rows = contiguous(astype(a, float32));
  check(mlx_array_eval(rows.get()));
  const float* data = mlx_array_data_float32(rows.get());
  return std::vector<float>(data, data + rows.size());
}

std::vector<uint32_t> to_uint32s(const array& a) {
  const array rows = contiguous(astype(a, uint32));
  check(mlx_array_eval(rows.get()));
  const uint32_t* data = mlx_array_data_uint32(rows.get());
  return std::vector<uint32_t>(data, data + rows.size());
}

}  // namespace mx
