#pragma once

#include <string>
#include <vector>

#include "config.h"
#include "nn/linear.h"
#include "nn/norm.h"

/// SigLIP's vision tower: https://arxiv.org/abs/2303.15343
class SiglipTower {
 public:
  struct Args {
    int hidden_size;
    int num_hidden_layers;
    int intermediate_size;
    int num_attention_heads;
    int num_channels;
    int image_size;
    int patch_size;
    float layer_norm_eps;

    /// From `vision_config`.
    explicit Args(const Config& config);
    /// Patches along an edge of an image.
    int patches_per_side() const { return image_size / patch_size; }
  };

  SiglipTower(const Args& args, Weights& weights, const std::string& path);

  /// Pixels (H, W, C) → a vector for each patch, row by row: (patches, D)
  mx::array operator()(const mx::array& pixels) const;

 private:
  struct Layer {
    Layer(const Args& args, Weights& weights, const std::string& path);

    mx::array operator()(const mx::array& x) const;
    mx::array attend(const mx::array& x) const;

    int n_heads;
    float scale;
    Linear q_proj, k_proj, v_proj, out_proj;
    Linear fc1, fc2;
    LayerNorm layer_norm1, layer_norm2;
  };

  mx::array embed(const mx::array& pixels) const;

  Args args_;
  mx::array patch_embedding_;  // (D, patch_size · patch_size · C)
  mx::array patch_bias_;       // (D)
  Embedding position_embedding_;
  std::vector<Layer> layers_;
  LayerNorm post_layernorm_;
};
