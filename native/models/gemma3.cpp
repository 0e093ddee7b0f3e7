// Gemma 3 with vision: https://arxiv.org/abs/2503.19786

#include <cmath>

#include "models/models.h"
#include "nn/siglip.h"

namespace {

using mx::array;

/// SigLIP, whose patches are pooled and projected into the space of the text model.
class Gemma3Vision : public Vision {
 public:
  Gemma3Vision(const Config& config, Weights& weights)
      : args_(config["vision_config"]),
        tokens_(config.positive("mm_tokens_per_image", 256)),
        side_(static_cast<int>(std::sqrt(tokens_))),
        tower_(args_, weights, "vision_tower.vision_model"),
        mm_soft_emb_norm_(gemma_norm(
            weights, "multi_modal_projector.mm_soft_emb_norm", args_.hidden_size,
            args_.layer_norm_eps)),
        mm_input_projection_weight_(weights.take(
            "multi_modal_projector.mm_input_projection_weight",
            {args_.hidden_size, config["text_config"].positive("hidden_size", 1152)})) {
    if (side_ * side_ == tokens_ && args_.patches_per_side() % side_ == 0) return;
    refuse_config("\"mm_tokens_per_image\" must divide the patches of an image into squares");
  }

  array operator()(const array& pixels) const override {
    const int pooled = args_.patches_per_side() / side_;
    const array patches = tower_(pixels);  // (patches, D)
    const array squares = mx::reshape(patches, {side_, pooled, side_, pooled, args_.hidden_size});
    const array means = mx::reshape(mx::mean(mx::mean(squares, 3), 1), {tokens_, -1});
    return mx::matmul(mm_soft_emb_norm_(means), mm_input_projection_weight_);  // (tokens, D)
  }

  int image_size() const override { return args_.image_size; }
  int tokens() const override { return tokens_; }

 private:
  SiglipTower::Args args_;
  int tokens_;
  int side_;  // tokens along an edge
  SiglipTower tower_;
  RMSNorm mm_soft_emb_norm_;
  array mm_input_projection_weight_;  // (vision, text)
};

/// Nothing where the checkpoint was cut down to text.
std::shared_ptr<const Vision> make_vision(const Config& config, Weights& weights) {
  const auto is_vision = [](const std::string& name) {
    return name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.");
  };
  if (weights.has("vision_tower.vision_model.embeddings.patch_embedding.weight")) {
    weights.defer("vision_tower.");
    weights.defer("multi_modal_projector.");
    return std::make_shared<Gemma3Vision>(config, weights);
  }
  weights.drop(is_vision);
  return nullptr;
}

}  // namespace

std::unique_ptr<Model> make_gemma3(const Config& config, Weights& weights) {
  const Config& text = config["text_config"];
  const int vocab_size = config.positive("vocab_size", text.positive("vocab_size", 262208));
  auto vision = make_vision(config, weights);
  weights.enter("language_model.");
  auto model = make_gemma3_text(
      text.with("vocab_size", Config(vocab_size))
          .with("num_attention_heads", Config(text.positive("num_attention_heads", 8)))
          .with("num_key_value_heads", Config(text.positive("num_key_value_heads", 4))),
      weights);
  model->vision = std::move(vision);
  return model;
}
