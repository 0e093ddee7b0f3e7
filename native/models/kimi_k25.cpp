// The text models of Kimi VL and Kimi K2.5, DeepSeek V3 both: https://arxiv.org/abs/2504.07491

#include "models/models.h"

std::unique_ptr<Model> make_kimi_k25(const Config& config, Weights& weights) {
  weights.drop([](const std::string& name) {
    return name.starts_with("vision_tower.") || name.starts_with("vision_model.") ||
           name.starts_with("multi_modal_projector.") || name.starts_with("mm_projector.");
  });
  weights.enter("language_model.");
  return make_deepseek_v3(config["text_config"], weights);
}
