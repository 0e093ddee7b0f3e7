#pragma once

#include <optional>
#include <string>

#include "mlx/array.h"
#include "mlx/stream.h"

/// MLX operations under MLX's names, recorded on this thread's stream. Signatures of mlx-c move
/// between versions: only this folder names them.
namespace mx {

namespace detail {

template <typename Function, typename... Arguments>
array record(Function function, Arguments... arguments) {
  mlx_array result{nullptr};
  check(function(&result, arguments..., current_stream));
  return array(result);
}

inline constexpr mlx_optional_int some(int value) { return {value, true}; }

}  // namespace detail

// Element-wise.
inline array operator+(const array& a, const array& b) {
  return detail::record(mlx_add, a.get(), b.get());
}
inline array operator-(const array& a, const array& b) {
  return detail::record(mlx_subtract, a.get(), b.get());
}
inline array operator*(const array& a, const array& b) {
  return detail::record(mlx_multiply, a.get(), b.get());
}
inline array operator/(const array& a, const array& b) {
  return detail::record(mlx_divide, a.get(), b.get());
}
inline array operator+(const array& a, float b) { return a + scalar(b, a.dtype()); }
inline array operator*(const array& a, float b) { return a * scalar(b, a.dtype()); }
inline array operator/(const array& a, float b) { return a / scalar(b, a.dtype()); }
inline array operator-(const array& a, float b) { return a - scalar(b, a.dtype()); }
inline array operator-(float a, const array& b) { return scalar(a, b.dtype()) - b; }
inline array operator-(const array& a) { return detail::record(mlx_negative, a.get()); }
inline array greater(const array& a, const array& b) {
  return detail::record(mlx_greater, a.get(), b.get());
}
inline array greater_equal(const array& a, const array& b) {
  return detail::record(mlx_greater_equal, a.get(), b.get());
}
inline array less(const array& a, const array& b) {
  return detail::record(mlx_less, a.get(), b.get());
}
inline array less_equal(const array& a, const array& b) {
  return detail::record(mlx_less_equal, a.get(), b.get());
}
inline array equal(const array& a, const array& b) {
  return detail::record(mlx_equal, a.get(), b.get());
}
inline array logical_or(const array& a, const array& b) {
  return detail::record(mlx_logical_or, a.get(), b.get());
}
inline array logical_and(const array& a, const array& b) {
  return detail::record(mlx_logical_and, a.get(), b.get());
}
inline array where(const array& condition, const array& x, const array& y) {
  return detail::record(mlx_where, condition.get(), x.get(), y.get());
}
inline array clip(const array& a, const array& low, const array& high) {
  return detail::record(mlx_clip, a.get(), low.get(), high.get());
}
inline array maximum(const array& a, const array& b) {
  return detail::record(mlx_maximum, a.get(), b.get());
}
inline array minimum(const array& a, const array& b) {
  return detail::record(mlx_minimum, a.get(), b.get());
}
inline array maximum(const array& a, float b) { return maximum(a, scalar(b, a.dtype())); }
inline array minimum(const array& a, float b) { return minimum(a, scalar(b, a.dtype())); }
inline array floor_divide(const array& a, const array& b) {
  return detail::record(mlx_floor_divide, a.get(), b.get());
}
inline array logaddexp(const array& a, const array& b) {
  return detail::record(mlx_logaddexp, a.get(), b.get());
}
inline array abs(const array& a) { return detail::record(mlx_abs, a.get()); }
inline array erf(const array& a) { return detail::record(mlx_erf, a.get()); }
/// The inverse of `erf`.
inline array erfinv(const array& a) { return detail::record(mlx_erfinv, a.get()); }
inline array expm1(const array& a) { return detail::record(mlx_expm1, a.get()); }
inline array floor(const array& a) { return detail::record(mlx_floor, a.get()); }
inline array log(const array& a) { return detail::record(mlx_log, a.get()); }
inline array log1p(const array& a) { return detail::record(mlx_log1p, a.get()); }
inline array sqrt(const array& a) { return detail::record(mlx_sqrt, a.get()); }
inline array square(const array& a) { return detail::record(mlx_square, a.get()); }
inline array exp(const array& a) { return detail::record(mlx_exp, a.get()); }
inline array cos(const array& a) { return detail::record(mlx_cos, a.get()); }
inline array sin(const array& a) { return detail::record(mlx_sin, a.get()); }
inline array rsqrt(const array& a) { return detail::record(mlx_rsqrt, a.get()); }
inline array reciprocal(const array& a) { return detail::record(mlx_reciprocal, a.get()); }
inline array sigmoid(const array& a) { return detail::record(mlx_sigmoid, a.get()); }
inline array tanh(const array& a) { return detail::record(mlx_tanh, a.get()); }
inline array power(const array& a, float exponent) {
  return detail::record(mlx_power, a.get(), scalar(exponent, a.dtype()).get());
}
inline array astype(const array& a, Dtype dtype) {
  return a.dtype() == dtype ? a : detail::record(mlx_astype, a.get(), dtype);
}

// Bits.
inline array bitwise_and(const array& a, const array& b) {
  return detail::record(mlx_bitwise_and, a.get(), b.get());
}
inline array left_shift(const array& a, const array& b) {
  return detail::record(mlx_left_shift, a.get(), b.get());
}
inline array right_shift(const array& a, const array& b) {
  return detail::record(mlx_right_shift, a.get(), b.get());
}
/// The bytes of 8-bit floats (E4M3) as numbers.
inline array from_fp8(const array& a, Dtype dtype) {
  return detail::record(mlx_from_fp8, a.get(), dtype);
}

// Shapes.
inline array reshape(const array& a, std::initializer_list<int> shape) {
  return detail::record(mlx_reshape, a.get(), shape.begin(), shape.size());
}
inline array reshape(const array& a, const Shape& shape) {
  return detail::record(mlx_reshape, a.get(), shape.data(), shape.size());
}
inline array transpose(const array& a, std::initializer_list<int> axes) {
  return detail::record(mlx_transpose_axes, a.get(), axes.begin(), axes.size());
}
inline array expand_dims(const array& a, int axis) {
  return detail::record(mlx_expand_dims, a.get(), axis);
}
inline array squeeze(const array& a, int axis) {
  return detail::record(mlx_squeeze_axis, a.get(), axis);
}
inline array swapaxes(const array& a, int axis1, int axis2) {
  return detail::record(mlx_swapaxes, a.get(), axis1, axis2);
}
inline array broadcast_to(const array& a, std::initializer_list<int> shape) {
  return detail::record(mlx_broadcast_to, a.get(), shape.begin(), shape.size());
}
inline array repeat(const array& a, int repeats, int axis) {
  return detail::record(mlx_repeat_axis, a.get(), repeats, axis);
}
/// The same bytes as another type; the last axis shrinks or grows with its width.
inline array view(const array& a, Dtype dtype) { return detail::record(mlx_view, a.get(), dtype); }
inline array contiguous(const array& a) { return detail::record(mlx_contiguous, a.get(), false); }
inline array zeros(std::initializer_list<int> shape, Dtype dtype) {
  return detail::record(mlx_zeros, shape.begin(), shape.size(), dtype);
}
inline array zeros_like(const array& a) { return detail::record(mlx_zeros_like, a.get()); }
inline array ones(std::initializer_list<int> shape, Dtype dtype) {
  return detail::record(mlx_ones, shape.begin(), shape.size(), dtype);
}
inline array arange(int start, int stop, int step = 1, Dtype dtype = int32) {
  return detail::record(mlx_arange, double(start), double(stop), double(step), dtype);
}
array concatenate(std::span<const array> arrays, int axis);
/// Arrays of one shape, along a new axis.
array stack(std::span<const array> arrays, int axis);
/// `a[..., start:stop:stride, ...]` on one axis.
array slice(const array& a, int axis, int start, int stop, int stride = 1);
/// `a` with `update` written from `start` on along one axis.
array slice_update(const array& a, const array& update, int axis, int start);

// Indexing.
inline array take(const array& a, const array& indices, int axis) {
  return detail::record(mlx_take_axis, a.get(), indices.get(), axis);
}
inline array take_along_axis(const array& a, const array& indices, int axis) {
  return detail::record(mlx_take_along_axis, a.get(), indices.get(), axis);
}
inline array put_along_axis(const array& a, const array& indices, const array& values, int axis) {
  return detail::record(mlx_put_along_axis, a.get(), indices.get(), values.get(), axis);
}
inline array scatter_add_axis(const array& a, const array& indices, const array& values, int axis) {
  return detail::record(mlx_scatter_add_axis, a.get(), indices.get(), values.get(), axis);
}

// Reductions and orders along one axis.
inline array argmax(const array& a, int axis) {
  return detail::record(mlx_argmax_axis, a.get(), axis, false);
}
inline array max(const array& a, int axis) {
  return detail::record(mlx_max_axis, a.get(), axis, true);
}
inline array min(const array& a, int axis) {
  return detail::record(mlx_min_axis, a.get(), axis, true);
}
inline array sum(const array& a, int axis) {
  return detail::record(mlx_sum_axis, a.get(), axis, true);
}
inline array logsumexp(const array& a, int axis) {
  return detail::record(mlx_logsumexp_axis, a.get(), axis, true);
}
/// `precise` sums in float32 whatever the type of `a`.
inline array softmax(const array& a, int axis, bool precise = false) {
  return detail::record(mlx_softmax_axis, a.get(), axis, precise);
}
/// The k largest numbers, in no order.
inline array topk(const array& a, int k, int axis) {
  return detail::record(mlx_topk_axis, a.get(), k, axis);
}
inline array sort(const array& a, int axis) { return detail::record(mlx_sort_axis, a.get(), axis); }
inline array mean(const array& a, int axis) {
  return detail::record(mlx_mean_axis, a.get(), axis, true);
}
inline array argsort(const array& a, int axis) {
  return detail::record(mlx_argsort_axis, a.get(), axis);
}
inline array argpartition(const array& a, int kth, int axis) {
  return detail::record(mlx_argpartition_axis, a.get(), kth, axis);
}
inline array cumsum(const array& a, int axis, bool reverse, bool inclusive) {
  return detail::record(
      mlx_cumsum_axis, a.get(), axis, reverse, inclusive, mlx_optional_dtype{float32, false});
}

// Linear algebra.
inline array matmul(const array& a, const array& b) {
  return detail::record(mlx_matmul, a.get(), b.get());
}
/// c + alpha · a @ b
inline array addmm(const array& c, const array& a, const array& b, float alpha = 1.0f) {
  return detail::record(mlx_addmm, c.get(), a.get(), b.get(), alpha, 1.0f);
}
/// x times the quantized matrix of w (out, in), transposed unless told otherwise.
inline array quantized_matmul(
    const array& x, const array& w, const array& scales, const array& biases, int group_size,
    int bits, const std::string& mode, bool transpose = true) {
  return detail::record(
      mlx_quantized_matmul, x.get(), w.get(), scales.get(), biases.get(), transpose,
      detail::some(group_size), detail::some(bits), mode.c_str());
}
/// Packed weights and scales, and biases where the mode has some, of (…, in).
struct Quantized {
  array weight, scales, biases;
};
Quantized quantize(const array& w, int group_size, int bits, const std::string& mode);
/// The rows of x that one index names times the matrix of b (n, in, out) that the other names, a
/// product for each pair of them. Empty indices of rows count through x.
inline array gather_mm(
    const array& x, const array& b, const array& row_indices, const array& indices, bool sorted) {
  return detail::record(mlx_gather_mm, x.get(), b.get(), row_indices.get(), indices.get(), sorted);
}
/// The same with transposed quantized matrices of w (n, out, in).
inline array gather_qmm(
    const array& x, const array& w, const array& scales, const array& biases,
    const array& row_indices, const array& indices, int group_size, int bits,
    const std::string& mode, bool sorted) {
  return detail::record(
      mlx_gather_qmm, x.get(), w.get(), scales.get(), biases.get(), row_indices.get(),
      indices.get(), /* transpose */ true, detail::some(group_size), detail::some(bits),
      mode.c_str(), sorted);
}
/// x (B, L, channels) along L with weight (out, taps, channels / groups); no padding.
inline array conv1d(const array& x, const array& weight, int groups) {
  return detail::record(
      mlx_conv1d, x.get(), weight.get(), /* stride */ 1, /* padding */ 0, /* dilation */ 1, groups);
}
inline array dequantize(
    const array& w, const array& scales, const array& biases, int group_size, int bits,
    const std::string& mode, Dtype dtype) {
  return detail::record(
      mlx_dequantize, w.get(), scales.get(), biases.get(), detail::some(group_size),
      detail::some(bits), mode.c_str(), mlx_array{nullptr}, mlx_optional_dtype{dtype, true});
}

// Fused kernels.
inline array rms_norm(const array& x, const array& weight, float eps) {
  return detail::record(mlx_fast_rms_norm, x.get(), weight.get(), eps);
}
/// (x − mean) / deviation · weight + bias over the last axis; weight and bias may be empty.
inline array layer_norm(const array& x, const array& weight, const array& bias, float eps) {
  return detail::record(mlx_fast_layer_norm, x.get(), weight.get(), bias.get(), eps);
}
/// Rotary embedding of the last axis; `freqs` (dims / 2) replaces `base` when it is given.
inline array rope(
    const array& x, int dims, bool traditional, std::optional<float> base, float scale, int offset,
    const array& freqs) {
  return detail::record(
      mlx_fast_rope, x.get(), dims, traditional,
      mlx_optional_float{base.value_or(0.0f), base.has_value()}, scale, offset, freqs.get());
}
/// The same with an offset for each row of x, (B) int32.
inline array rope(
    const array& x, int dims, bool traditional, std::optional<float> base, float scale,
    const array& offsets, const array& freqs) {
  return detail::record(
      mlx_fast_rope_dynamic, x.get(), dims, traditional,
      mlx_optional_float{base.value_or(0.0f), base.has_value()}, scale, offsets.get(), freqs.get());
}
/// `mask_mode` is "" (none), "causal" or "array".
inline array scaled_dot_product_attention(
    const array& queries, const array& keys, const array& values, float scale,
    const char* mask_mode, const array& mask, const array& sinks = array()) {
  return detail::record(
      mlx_fast_scaled_dot_product_attention, queries.get(), keys.get(), values.get(), scale,
      mask_mode, mask.get(), sinks.get(), false);
}

// Random numbers: a key is a (2,) uint32 array, as in MLX.
array random_key(uint64_t seed);
std::pair<array, array> random_split(const array& key);
/// One float32 in [0, 1).
array random_uniform(const array& key);
/// A sample per row of unnormalised log-probabilities, along the last axis.
inline array categorical(const array& logits, const array& key) {
  return detail::record(mlx_random_categorical, logits.get(), -1, key.get());
}

}  // namespace mx
