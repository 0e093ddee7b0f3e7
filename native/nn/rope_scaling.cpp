#include "nn/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <string>
#include <vector>

namespace {

using Freqs = std::vector<float>;

constexpr float two_pi = 2.0f * std::numbers::pi_v<float>;

/// baseⁱ⸍ᵈⁱᵐˢ for i = 0, 2, 4 …
Freqs plain_freqs(int dims, float base) {
  Freqs freqs;
  for (int i = 0; i < dims; i += 2) {
    freqs.push_back(std::pow(base, static_cast<float>(i) / static_cast<float>(dims)));
  }
  return freqs;
}

Freqs llama3_freqs(int dims, float base, const Config& scaling) {
  const float factor = scaling.positive_number("factor");
  const float low_freq_factor = scaling.positive_number("low_freq_factor", 1.0f);
  const float high_freq_factor = scaling.positive_number("high_freq_factor", 4.0f);
  const float old_context = scaling.positive_number("original_max_position_embeddings", 8192.0f);
  const float low_freq_wavelen = old_context / low_freq_factor;
  const float high_freq_wavelen = old_context / high_freq_factor;

  Freqs freqs = plain_freqs(dims, base);
  for (float& freq : freqs) {
    const float wavelen = two_pi * freq;
    if (wavelen > low_freq_wavelen) {
      freq *= factor;
    } else if (wavelen > high_freq_wavelen) {
      const float smooth =
          (old_context / wavelen - low_freq_factor) / (high_freq_factor - low_freq_factor);
      freq /= (1.0f - smooth) / factor + smooth;
    }
  }
  return freqs;
}

float yarn_mscale(float factor, float mscale) {
  return factor <= 1.0f ? 1.0f : 0.1f * mscale * std::log(factor) + 1.0f;
}

Freqs yarn_freqs(int dims, float base, const Config& scaling) {
  const float factor = scaling.positive_number("factor");
  const float old_context = scaling.positive_number("original_max_position_embeddings", 4096.0f);
  if (base == 1.0f) refuse_config("\"rope_theta\" of 1 gives no wavelengths to stretch");
  // The dimension whose wavelength turns this many times within the old context.
  const auto correction_dim = [&](float turns) {
    return static_cast<float>(dims) * std::log(old_context / (turns * two_pi)) /
           (2.0f * std::log(base));
  };
  const float low =
      std::max(std::floor(correction_dim(scaling.positive_number("beta_fast", 32.0f))), 0.0f);
  float high = std::min(
      std::ceil(correction_dim(scaling.positive_number("beta_slow", 1.0f))),
      static_cast<float>(dims - 1));
  if (low == high) high += 0.001f;

  Freqs freqs = plain_freqs(dims, base);
  for (size_t i = 0; i < freqs.size(); i++) {
    const float ramp = std::clamp((static_cast<float>(i) - low) / (high - low), 0.0f, 1.0f);
    const float kept = freqs[i];
    const float stretched = kept * factor;
    freqs[i] = stretched * kept / (stretched * (1.0f - ramp) + kept * ramp);
  }
  return freqs;
}

Freqs long_freqs(int dims, float base, const Config& scaling) {
  Freqs freqs = plain_freqs(dims, base);
  const std::vector<float> factors = scaling.numbers("long_factor");
  if (factors.size() != freqs.size()) {
    refuse_config(
        "\"long_factor\" must hold " + std::to_string(freqs.size()) +
        " numbers, one for each pair of dimensions");
  }
  for (size_t i = 0; i < freqs.size(); i++) freqs[i] *= factors[i];
  return freqs;
}

/// As mlx-lm, which takes the scale of the long factors for all lengths.
float longrope_mscale(int old_context, int new_context) {
  if (old_context < 2) refuse_config("\"original_max_position_embeddings\" must be above 1");
  const float context = static_cast<float>(old_context);
  const float factor = static_cast<float>(new_context) / context;
  return factor <= 1.0f ? 1.0f : std::sqrt(1.0f + std::log(factor) / std::log(context));
}

/// Dimensions that do not turn have an endless wavelength.
Freqs proportional_freqs(int dims, float base, const Config& scaling) {
  const float part = scaling.positive_number("partial_rotary_factor", 1.0f);
  const float factor = scaling.positive_number("factor", 1.0f);
  Freqs freqs = plain_freqs(dims, base);
  const size_t turning = static_cast<size_t>(static_cast<float>(dims) * std::min(part, 1.0f)) / 2;
  for (size_t i = 0; i < freqs.size(); i++) {
    freqs[i] = i < turning ? freqs[i] * factor : std::numeric_limits<float>::infinity();
  }
  return freqs;
}

/// Where a config keeps a number of the rotary embedding.
const Config& keeper_of(const Config& config, const std::string& key) {
  return config.has(key) ? config : config["rope_parameters"];
}

}  // namespace

RopeScaling::RopeScaling(
    int dims, float base, const Config& scaling, int max_position_embeddings,
    int original_max_position_embeddings)
    : dims(dims), base(base) {
  if (!scaling.is_null() && !scaling.is_object())
    refuse_config("\"rope_scaling\" must be an object");
  const auto use = [this](const Freqs& values) { freqs = mx::from_data(std::span(values)); };
  // Older checkpoints write "type", newer ones "rope_type".
  const std::string kind = scaling.text("type", scaling.text("rope_type", "default"));
  const auto check_context = [&] {
    if (max_position_embeddings > 0) return;
    refuse_config("\"rope_scaling\" of type \"" + kind + "\" needs \"max_position_embeddings\"");
  };
  if (kind == "linear") {
    scale = 1.0f / scaling.positive_number("factor");
  } else if (kind == "dynamic") {
    check_context();
    if (dims <= 2)
      refuse_config("\"rope_scaling\" of type \"dynamic\" needs more than 2 dimensions");
    factor = scaling.positive_number("factor");
    dynamic_from = max_position_embeddings;
  } else if (kind == "llama3") {
    use(llama3_freqs(dims, base, scaling));
  } else if (kind == "yarn" || kind == "deepseek_yarn") {
    use(yarn_freqs(dims, base, scaling));
    const float stretch = scaling.positive_number("factor");
    mscale = yarn_mscale(stretch, scaling.number("mscale", 1.0f)) /
             yarn_mscale(stretch, scaling.number("mscale_all_dim", 0.0f));
  } else if (kind == "longrope" || kind == "su") {
    check_context();
    use(long_freqs(dims, base, scaling));
    mscale = longrope_mscale(
        scaling.positive("original_max_position_embeddings", original_max_position_embeddings),
        max_position_embeddings);
  } else if (kind == "proportional") {
    use(proportional_freqs(dims, base, scaling));
  } else if (kind != "default" && kind != "mrope") {
    refuse_config(
        "\"rope_scaling\" of type \"" + kind +
        "\" is not supported; known types are default, linear, dynamic, llama3, yarn, longrope, "
        "proportional, mrope");
  }
}

float RopeScaling::base_for(int length) const {
  if (length <= dynamic_from || dynamic_from == 0) return base;
  const float longer = static_cast<float>(length) / static_cast<float>(dynamic_from);
  const float exponent = static_cast<float>(dims) / static_cast<float>(dims - 2);
  return base * std::pow(factor * longer - (factor - 1.0f), exponent);
}

const Config& rope_scaling(const Config& config) {
  return config.has("rope_scaling") ? config["rope_scaling"] : config["rope_parameters"];
}

float rope_theta(const Config& config) {
  return keeper_of(config, "rope_theta").positive_number("rope_theta");
}

float rope_theta(const Config& config, float fallback) {
  return keeper_of(config, "rope_theta").positive_number("rope_theta", fallback);
}

int rotary_dims(const Config& config, int head_dim, std::optional<float> fallback) {
  const std::string key = "partial_rotary_factor";
  const Config& place = keeper_of(config, key);
  const float part = fallback ? place.positive_number(key, *fallback) : place.positive_number(key);
  if (part > 1.0f) refuse_config("\"partial_rotary_factor\" must be at most 1");
  const int dims = static_cast<int>(static_cast<float>(head_dim) * part);
  if (dims < 2 || dims % 2 != 0) {
    refuse_config(
        "\"partial_rotary_factor\" must turn an even part of \"head_dim\", not " +
        std::to_string(dims) + " of " + std::to_string(head_dim));
  }
  return dims;
}

float yarn_attention_factor(const Config& scaling) {
  const std::string kind = scaling.text("type", scaling.text("rope_type", "default"));
  const float mscale_all_dim = scaling.number("mscale_all_dim", 0.0f);
  if (kind == "default" || mscale_all_dim == 0.0f) return 1.0f;
  const float mscale = yarn_mscale(scaling.positive_number("factor", 1.0f), mscale_all_dim);
  return mscale * mscale;
}
