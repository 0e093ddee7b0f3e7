#include "nn/rope.h"

#include <cmath>
#include <vector>

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

// MLX fuses this on the GPU. On the CPU it records some twenty small ops for each call, most of
// them the same for every layer; traditional pairs and a base that depends on the length are left
// to it.
bool RoPE::is_left_to_mlx() const { return mx::on_gpu() || traditional_ || !inverse_freqs_; }

std::pair<mx::array, mx::array> RoPE::operator()(
    const mx::array& queries, const mx::array& keys, int offset) const {
  if (is_left_to_mlx()) return {(*this)(queries, offset), (*this)(keys, offset)};
  const int heads = queries.dim(1);
  const mx::array both[] = {queries, keys};
  const mx::array turned = turn(mx::concatenate(both, 1), offset);
  return {mx::slice(turned, 1, 0, heads), mx::slice(turned, 1, heads, turned.dim(1))};
}

mx::array RoPE::operator()(const mx::array& x, int offset) const {
  if (!is_left_to_mlx()) return turn(x, offset);
  const std::optional<float> base =
      scaling_.freqs ? std::nullopt : std::optional(scaling_.base_for(offset + x.dim(2)));
  return mx::rope(
      scale_first(x, scaling_.dims, scaling_.mscale), scaling_.dims, traditional_, base,
      scaling_.scale, offset, scaling_.freqs);
}

mx::array RoPE::turn(const mx::array& unscaled, int offset) const {
  const int dims = scaling_.dims;
  const mx::array x = scale_first(unscaled, dims, scaling_.mscale);
  const int width = x.dim(-1);
  std::vector<mx::array> parts = {mx::slice(x, -1, dims / 2, dims), mx::slice(x, -1, 0, dims / 2)};
  if (width > dims) parts.push_back(mx::slice(x, -1, dims, width));
  const Rotation& by = rotation(offset, x.dim(2), width, x.dtype());
  return x * by.cosines + mx::concatenate(parts, -1) * by.sines;
}

const RoPE::Rotation& RoPE::rotation(int offset, int length, int width, mx::Dtype dtype) const {
  Rotation& last = *rotation_;
  if (last.offset == offset && last.length == length && last.width == width &&
      last.dtype == dtype) {
    return last;
  }
  const mx::array positions = mx::arange(offset, offset + length, 1, mx::float32);  // (L)
  const mx::array theta =
      mx::expand_dims(positions * scaling_.scale, 1) * inverse_freqs_;  // (L, dims / 2)
  const mx::array cosine = mx::astype(mx::cos(theta), dtype);
  const mx::array sine = mx::astype(mx::sin(theta), dtype);
  std::vector<mx::array> cosines = {cosine, cosine};
  std::vector<mx::array> sines = {-sine, sine};
  if (const int rest = width - scaling_.dims; rest > 0) {
    cosines.push_back(mx::ones({length, rest}, dtype));
    sines.push_back(mx::zeros({length, rest}, dtype));
  }
  last = {offset, length, width, dtype, mx::concatenate(cosines, -1), mx::concatenate(sines, -1)};
  return last;
}
