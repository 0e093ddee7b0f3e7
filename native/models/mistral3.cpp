// The text model of Mistral Small 3.1 and later, and of Pixtral:
// https://mistral.ai/news/pixtral-12b

#include "models/models.h"

namespace {

/// Publishers have the text model's path behind "model." or nowhere, mlx-lm before everything.
std::string saved_name(const std::string& name) {
  const std::string saved = "language_model.";
  const std::string published = "model.language_model.";
  if (name.starts_with(saved)) return name;
  if (name.starts_with(published)) return saved + "model." + name.substr(published.size());
  return saved + name;
}

}  // namespace

std::unique_ptr<Model> make_mistral3(const Config& config, Weights& weights) {
  const Config& text = config["text_config"];
  weights.drop([](const std::string& name) {
    return name.find("vision_tower") != std::string::npos ||
           name.find("multi_modal_projector") != std::string::npos;
  });
  weights.rename(saved_name);
  weights.enter("language_model.");
  return make_model(
      text.with("model_type", Config(text.text("model_type", "llama")))
          .with("tie_word_embeddings", Config(text.boolean("tie_word_embeddings", false))),
      weights);
}
