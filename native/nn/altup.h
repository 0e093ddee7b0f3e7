#pragma once

#include <string>

#include "nn/linear.h"
#include "nn/norm.h"

struct AltUpArgs {
  int hidden_size;
  int num_inputs;   // streams
  int active_idx;   // the stream that layers compute
  float coef_clip;  // bound of all coefficients, 0 where there is none
  float rms_norm_eps;
};

/// One stream of all: (streams, n, D) → (n, D)
mx::array stream(const mx::array& streams, int index);

/// Alternating updates: the hidden state is several streams, of which a layer computes the active
/// one and guesses the others. https://arxiv.org/abs/2301.13310
class AltUp {
 public:
  AltUp(Weights& weights, const std::string& path, const AltUpArgs& args);

  /// The streams (streams, n, D) as they may be after the layer.
  mx::array predict(const mx::array& streams) const;
  /// The predictions, corrected by what the layer made of the active stream, (n, D).
  mx::array correct(const mx::array& predictions, const mx::array& activated) const;

 private:
  mx::array coefficients(Weights& weights, const std::string& path, int out_dims) const;
  mx::array modalities(const mx::array& x) const;

  AltUpArgs args_;
  mx::array prediction_coefs_;  // (streams, streams²)
  mx::array correction_coefs_;  // (streams, streams)
  Linear modality_router_;
  RMSNorm router_norm_;
};
