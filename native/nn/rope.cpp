#include "nn/rope.h"

#include <cmath>

namespace {

/// x with its first `dims` numbers times `factor`.
mx::array scale_first(const mx::array& x, int dims, float factor) {
  if (factor == 1.0f) return x;
  if (x.dim(-1) == dims) return x * factor;
  const mx::array parts[] = {mx::slice(x, -1, 0, dims) * factor, mx::slice(x, -1, dims, x.dim(-1))};
  return mx::concatenate(parts, -1);
}

}  // namespace

RoPE::RoPE(RopeScaling scaling, bool traditional)
    : scaling_(std::move(scaling)), traditional_(traditional) {
  if (scaling_.dynamic_from > 0) return;
  const int half = scaling_.dims / 2;
  const float step = std::log(scaling_.base) / static_cast<float>(half);
  inverse_freqs_ = scaling_.freqs ? mx::reciprocal(scaling_.freqs)
                                  : mx::exp(mx::arange(0, -half, -1, mx::float32) * step);
}

std::pair<mx::array, mx::array> RoPE::operator()(
    const mx::array& queries, const mx::array& keys, int offset) const {
  // MLX fuses this on the GPU. On the CPU it records some twenty small ops for each call, most of
  // them the same for every layer; traditional pairs and other rare kinds are left to it.
  const int dims = scaling_.dims;
  if (mx::on_gpu() || traditional_ || queries.dim(-1) != dims || !inverse_freqs_) {
    return {(*this)(queries, offset), (*this)(keys, offset)};
  }
  const int heads = queries.dim(1);
  const mx::array both[] = {queries, keys};
  const mx::array x = mx::concatenate(both, 1);
  const Rotation& turn = rotation(offset, x.dim(2), x.dtype());
  const mx::array halves[] = {mx::slice(x, -1, dims / 2, dims), mx::slice(x, -1, 0, dims / 2)};
  const mx::array turned = x * turn.cosines + mx::concatenate(halves, -1) * turn.sines;
  return {mx::slice(turned, 1, 0, heads), mx::slice(turned, 1, heads, x.dim(1))};
}

mx::array RoPE::operator()(const mx::array& x, int offset) const {
  const std::optional<float> base =
      scaling_.freqs ? std::nullopt : std::optional(scaling_.base_for(offset + x.dim(2)));
  return mx::rope(
      scale_first(x, scaling_.dims, scaling_.mscale), scaling_.dims, traditional_, base,
      scaling_.scale, offset, scaling_.freqs);
}

const RoPE::Rotation& RoPE::rotation(int offset, int length, mx::Dtype dtype) const {
  Rotation& last = *rotation_;
  if (last.offset == offset && last.length == length && last.dtype == dtype) return last;
  const mx::array positions = mx::arange(offset, offset + length, 1, mx::float32);  // (L)
  const mx::array theta =
      mx::expand_dims(positions * scaling_.scale, 1) * inverse_freqs_;  // (L, D / 2)
  const mx::array cosine = mx::astype(mx::cos(theta) * scaling_.mscale, dtype);
  const mx::array sine = mx::astype(mx::sin(theta) * scaling_.mscale, dtype);
  const mx::array cosines[] = {cosine, cosine};
  const mx::array sines[] = {-sine, sine};
  last = {offset, length, dtype, mx::concatenate(cosines, -1), mx::concatenate(sines, -1)};
  return last;
}
