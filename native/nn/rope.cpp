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
    const mx::array& queries, const mx::array& keys, const Positions& offset) const {
  if (is_left_to_mlx()) return {(*this)(queries, offset), (*this)(keys, offset)};
  const int heads = queries.dim(1);
  const mx::array both[] = {queries, keys};
  const mx::array turned = turn(mx::concatenate(both, 1), offset);
  return {mx::slice(turned, 1, 0, heads), mx::slice(turned, 1, heads, turned.dim(1))};
}

mx::array RoPE::operator()(const mx::array& x, const Positions& offset) const {
  return is_left_to_mlx() ? turn_by_mlx(x, offset) : turn(x, offset);
}

mx::array RoPE::turn_by_mlx(const mx::array& x, const Positions& offset) const {
  const Lag* lag = offset.lag();
  const mx::array scaled = scale_first(x, scaling_.dims, scaling_.mscale);
  const auto rope = [&](const mx::array& rows, const auto& from, int end) {
    const std::optional<float> base =
        scaling_.freqs ? std::nullopt : std::optional(scaling_.base_for(end));
    return mx::rope(rows, scaling_.dims, traditional_, base, scaling_.scale, from, scaling_.freqs);
  };
  const int end = offset.longest() + x.dim(2);
  if (!lag) return rope(scaled, offset.longest(), end);
  if (scaling_.dynamic_from == 0) {
    const mx::array first = mx::reshape(offset.range(1, mx::int32), {x.dim(0)});
    return rope(scaled, first, end);
  }
  // The base depends on the length of a row.
  std::vector<mx::array> rows;
  for (int row = 0; row < x.dim(0); row++) {
    const int behind = lag->rows[static_cast<size_t>(row)];
    const mx::array one = mx::slice(scaled, 0, row, row + 1);
    rows.push_back(rope(one, offset.longest() - behind, end - behind));
  }
  return mx::concatenate(rows, 0);
}

mx::array RoPE::turn(const mx::array& unscaled, const Positions& offset) const {
  const int dims = scaling_.dims;
  const mx::array x = scale_first(unscaled, dims, scaling_.mscale);
  const int width = x.dim(-1);
  std::vector<mx::array> parts = {mx::slice(x, -1, dims / 2, dims), mx::slice(x, -1, 0, dims / 2)};
  if (width > dims) parts.push_back(mx::slice(x, -1, dims, width));
  const Rotation& by = rotation(offset, x.dim(2), width, x.dtype());
  return x * by.cosines + mx::concatenate(parts, -1) * by.sines;
}

const RoPE::Rotation& RoPE::rotation(
    const Positions& offset, int length, int width, mx::Dtype dtype) const {
  Rotation& last = *rotation_;
  if (last.length == length && last.width == width && last.dtype == dtype &&
      last.offset == offset) {
    return last;
  }
  const mx::array positions = offset.range(length, mx::float32);  // (…, L)
  const mx::array theta =
      mx::expand_dims(positions * scaling_.scale, -1) * inverse_freqs_;  // (…, L, dims / 2)
  const mx::array cosine = mx::astype(mx::cos(theta), dtype);
  const mx::array sine = mx::astype(mx::sin(theta), dtype);
  std::vector<mx::array> cosines = {cosine, cosine};
  std::vector<mx::array> sines = {-sine, sine};
  if (const int rest = width - scaling_.dims; rest > 0) {
    const mx::array still = mx::zeros({length, rest}, dtype);
    const mx::array beside =
        offset.lag() ? mx::broadcast_to(still, {cosine.dim(0), 1, length, rest}) : still;
    cosines.push_back(beside + 1.0f);
    sines.push_back(beside);
  }
  last = {offset, length, width, dtype, mx::concatenate(cosines, -1), mx::concatenate(sines, -1)};
  return last;
}
