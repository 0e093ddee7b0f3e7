// The text model of Gemma 4 with vision and audio: https://ai.google.dev/gemma/docs/core

#include <algorithm>
#include <array>

#include "models/models.h"

namespace {

constexpr std::array unused = {"vision_tower", "multi_modal_projector", "audio_tower",
                               "embed_audio",  "embed_vision",          "vision_embedder"};

/// The publisher's names start with "model."; mlx-lm's text model has that behind its own path.
std::string saved_name(const std::string& name) {
  const std::string published = "model.language_model.";
  if (!name.starts_with(published)) return name;
  return "language_model.model." + name.substr(published.size());
}

}  // namespace

std::unique_ptr<Model> make_gemma4(const Config& config, Weights& weights) {
  const Config& text = config["text_config"];
  const int vocab_size = config.positive("vocab_size", text.positive("vocab_size", 262144));
  weights.drop([](const std::string& name) {
    const std::string path = name.starts_with("model.") ? name.substr(6) : name;
    return std::ranges::any_of(
        unused, [&](const char* prefix) { return path.starts_with(prefix); });
  });
  weights.rename(saved_name);
  weights.enter("language_model.");
  return make_gemma4_text(text.with("vocab_size", Config(vocab_size)), weights);
}
