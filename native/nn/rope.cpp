#include "nn/rope.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "engine_error.h"

namespace {

/// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, with a smooth passage.
mx::array llama3_freqs(int dims, float base, const Config& scaling) {
  const float factor = scaling.positive_number("factor");
  const float low_freq_factor = scaling.positive_number("low_freq_factor", 1.0f);
  const float high_freq_factor = scaling.positive_number("high_freq_factor", 4.0f);
  const float old_context = scaling.positive_number("original_max_position_embeddings", 8192.0f);
  const float low_freq_wavelen = old_context / low_freq_factor;
  const float high_freq_wavelen = old_context / high_freq_factor;

  std::vector<float> freqs;
  for (int i = 0; i < dims; i += 2) {
    const float freq = std::pow(base, static_cast<float>(i) / static_cast<float>(dims));
    const float wavelen = 2.0f * std::numbers::pi_v<float> * freq;
    if (wavelen > low_freq_wavelen) {
      freqs.push_back(freq * factor);
    } else if (wavelen > high_freq_wavelen) {
      const float smooth =
          (old_context / wavelen - low_freq_factor) / (high_freq_factor - low_freq_factor);
      freqs.push_back(freq / ((1.0f - smooth) / factor + smooth));
    } else {
      freqs.push_back(freq);
    }
  }
  return mx::from_data(std::span<const float>(freqs));
}

}  // namespace

RoPE::RoPE(int dims, float base, bool traditional, const Config& scaling)
    : dims_(dims), traditional_(traditional), base_(base) {
  if (!scaling.is_null() && !scaling.is_object()) {
    throw EngineError("bad_config", "config.json: \"rope_scaling\" must be an object");
  }
  // Older checkpoints write "type", newer ones "rope_type".
  const std::string kind = scaling.text("type", scaling.text("rope_type", "default"));
  if (kind == "linear") {
    scale_ = 1.0f / scaling.positive_number("factor");
  } else if (kind == "llama3") {
    freqs_ = llama3_freqs(dims, base, scaling);
    base_.reset();
  } else if (kind != "default") {
    throw EngineError(
        "bad_config", "config.json: \"rope_scaling\" of type \"" + kind +
                          "\" is not supported; known types are default, linear, llama3");
  }
  const int half = dims / 2;
  const float step = std::log(base) / static_cast<float>(half);
  inverse_freqs_ =
      freqs_ ? mx::reciprocal(freqs_) : mx::exp(mx::arange(0, -half, -1, mx::float32) * step);
}

std::pair<mx::array, mx::array> RoPE::operator()(
    const mx::array& queries, const mx::array& keys, int offset) const {
  // MLX fuses this on the GPU. On the CPU it records some twenty small ops for each call, most of
  // them the same for every layer; traditional pairs are rare and left to it.
  if (mx::on_gpu() || traditional_ || queries.dim(-1) != dims_) {
    return {fused(queries, offset), fused(keys, offset)};
  }
  const int heads = queries.dim(1);
  const mx::array both[] = {queries, keys};
  const mx::array x = mx::concatenate(both, 1);
  const Rotation& turn = rotation(offset, x.dim(2), x.dtype());
  const mx::array halves[] = {mx::slice(x, -1, dims_ / 2, dims_), mx::slice(x, -1, 0, dims_ / 2)};
  const mx::array turned = x * turn.cosines + mx::concatenate(halves, -1) * turn.sines;
  return {mx::slice(turned, 1, 0, heads), mx::slice(turned, 1, heads, x.dim(1))};
}

mx::array RoPE::fused(const mx::array& x, int offset) const {
  return mx::rope(x, dims_, traditional_, base_, scale_, offset, freqs_);
}

const RoPE::Rotation& RoPE::rotation(int offset, int length, mx::Dtype dtype) const {
  Rotation& last = *rotation_;
  if (last.offset == offset && last.length == length && last.dtype == dtype) return last;
  const mx::array positions = mx::arange(offset, offset + length, 1, mx::float32);  // (L)
  const mx::array theta = mx::expand_dims(positions * scale_, 1) * inverse_freqs_;  // (L, D / 2)
  const mx::array cosine = mx::astype(mx::cos(theta), dtype);
  const mx::array sine = mx::astype(mx::sin(theta), dtype);
  const mx::array cosines[] = {cosine, cosine};
  const mx::array sines[] = {-sine, sine};
  last = {offset, length, dtype, mx::concatenate(cosines, -1), mx::concatenate(sines, -1)};
  return last;
}

const Config& rope_scaling(const Config& config) {
  return config.has("rope_scaling") ? config["rope_scaling"] : config["rope_parameters"];
}

float rope_theta(const Config& config, float fallback) {
  return config.positive_number(
      "rope_theta", config["rope_parameters"].positive_number("rope_theta", fallback));
}
