#include "mlx/ops.h"

#include <array>

#include "engine_error.h"
#include "mlx/vector_array.h"

namespace mx {
namespace {

// No tensor of a language model has more axes.
constexpr int max_ndim = 8;

struct Bounds {
  std::array<int, max_ndim> start{};
  std::array<int, max_ndim> stop{};
  std::array<int, max_ndim> stride{};
  size_t ndim;

  explicit Bounds(const array& a) : ndim(static_cast<size_t>(a.ndim())) {
    if (ndim > max_ndim) throw EngineError("tensor_shape", "a tensor has too many axes");
    const int* shape = mlx_array_shape(a.get());
    for (size_t i = 0; i < ndim; i++) {
      stop[i] = shape[i];
      stride[i] = 1;
    }
  }

  void set(int axis, int from, int to, int step = 1) {
    const size_t i = static_cast<size_t>(axis < 0 ? axis + static_cast<int>(ndim) : axis);
    start[i] = from;
    stop[i] = to;
    stride[i] = step;
  }
};

}  // namespace

array concatenate(std::span<const array> arrays, int axis) {
  const VectorArray inputs(arrays);
  return detail::record(mlx_concatenate_axis, inputs.get(), axis);
}

array stack(std::span<const array> arrays, int axis) {
  const VectorArray inputs(arrays);
  return detail::record(mlx_stack_axis, inputs.get(), axis);
}

array slice(const array& a, int axis, int start, int stop, int stride) {
  Bounds bounds(a);
  bounds.set(axis, start, stop, stride);
  return detail::record(
      mlx_slice, a.get(), bounds.start.data(), bounds.ndim, bounds.stop.data(), bounds.ndim,
      bounds.stride.data(), bounds.ndim);
}

array slice_update(const array& a, const array& update, int axis, int start) {
  Bounds bounds(a);
  bounds.set(axis, start, start + update.dim(axis));
  return detail::record(
      mlx_slice_update, a.get(), update.get(), bounds.start.data(), bounds.ndim, bounds.stop.data(),
      bounds.ndim, bounds.stride.data(), bounds.ndim);
}

Quantized quantize(const array& w, int group_size, int bits, const std::string& mode) {
  VectorArray parts;
  check(mlx_quantize(
      parts.out(), w.get(), detail::some(group_size), detail::some(bits), mode.c_str(),
      mlx_array{nullptr}, current_stream));
  std::vector<array> arrays = parts.to_vector();
  arrays.resize(3);
  return {arrays[0], arrays[1], arrays[2]};
}

array random_key(uint64_t seed) {
  mlx_array key{nullptr};
  check(mlx_random_key(&key, seed));
  return array(key);
}

std::pair<array, array> random_split(const array& key) {
  mlx_array first{nullptr};
  mlx_array second{nullptr};
  check(mlx_random_split(&first, &second, key.get(), current_stream));
  return {array(first), array(second)};
}

array random_uniform(const array& key) {
  const array low = scalar(0.0f, float32);
  const array high = scalar(1.0f, float32);
  return detail::record(
      mlx_random_uniform, low.get(), high.get(), static_cast<const int*>(nullptr), size_t{0},
      float32, key.get());
}

}  // namespace mx
