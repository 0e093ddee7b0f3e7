#include "nn/rope.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "engine_error.h"

namespace {

/// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, with a smooth passage.
mx::array llama3_freqs(int dims, float base, const Config& scaling) {
  const float factor = scaling.number("factor");
  const float low_freq_factor = scaling.number("low_freq_factor", 1.0f);
  const float high_freq_factor = scaling.number("high_freq_factor", 4.0f);
  const float old_context = scaling.number("original_max_position_embeddings", 8192.0f);
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
  // Older checkpoints write "type", newer ones "rope_type".
  const std::string kind = scaling.text("type", scaling.text("rope_type", "default"));
  if (kind == "linear") {
    scale_ = 1.0f / scaling.number("factor");
  } else if (kind == "llama3") {
    freqs_ = llama3_freqs(dims, base, scaling);
    base_.reset();
  } else if (kind != "default") {
    throw EngineError(
        "bad_config", "config.json: \"rope_scaling\" of type \"" + kind +
                          "\" is not supported; known types are default, linear, llama3");
  }
}

const Config& rope_scaling(const Config& config) {
  return config.has("rope_scaling") ? config["rope_scaling"] : config["rope_parameters"];
}

float rope_theta(const Config& config, float fallback) {
  return config.number("rope_theta", config["rope_parameters"].number("rope_theta", fallback));
}
