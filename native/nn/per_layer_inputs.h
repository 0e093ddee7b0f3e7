#pragma once

#include <string>

#include "nn/linear.h"
#include "nn/norm.h"

/// Gemma's inputs of single layers (3n and 4): beside the hidden state each layer gets a narrow
/// vector for each token, partly from a table of its own, partly from the token's embedding.

struct PerLayerArgs {
  int num_hidden_layers;
  int hidden_size;
  int dims;        // of a layer's vector
  int vocab_size;  // rows of the table; other tokens get row 0
  float rms_norm_eps;
};

/// The vectors of all layers.
class PerLayerInputs {
 public:
  PerLayerInputs(Weights& weights, const std::string& path, const PerLayerArgs& args);

  /// tokens (B, L) and their embeddings (B · L, D) → (B · L, layers · dims)
  mx::array operator()(const mx::array& tokens, const mx::array& embeddings) const;

  /// The part of one layer: (n, layers · dims) → (n, dims)
  mx::array of_layer(const mx::array& inputs, size_t layer) const;

 private:
  PerLayerArgs args_;
  Embedding embed_tokens_per_layer_;
  Linear per_layer_model_projection_;
  RMSNorm per_layer_projection_norm_;
};

/// What a layer makes of its vector: the hidden state is its gate.
class PerLayerGate {
 public:
  PerLayerGate(Weights& weights, const std::string& path, const PerLayerArgs& args);

  /// Hidden states (n, D) and the layer's vectors (n, dims) → (n, D), to be added to a hidden
  /// state.
  mx::array operator()(const mx::array& x, const mx::array& input) const;

 private:
  Linear per_layer_input_gate_, per_layer_projection_;
  RMSNorm post_per_layer_input_norm_;
};
