// The text model of Gemma 3 with vision: https://arxiv.org/abs/2503.19786

#include "models/models.h"

std::unique_ptr<Model> make_gemma3(const Config& config, Weights& weights) {
  const Config& text = config["text_config"];
  const int vocab_size = config.positive("vocab_size", text.positive("vocab_size", 262208));
  weights.drop([](const std::string& name) {
    return name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.");
  });
  weights.enter("language_model.");
  return make_gemma3_text(
      text.with("vocab_size", Config(vocab_size))
          .with("num_attention_heads", Config(text.positive("num_attention_heads", 8)))
          .with("num_key_value_heads", Config(text.positive("num_key_value_heads", 4))),
      weights);
}
