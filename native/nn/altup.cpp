#include "nn/altup.h"

using mx::array;

array stream(const array& streams, int index) {
  return mx::squeeze(mx::slice(streams, 0, index, index + 1), 0);
}

AltUp::AltUp(Weights& weights, const std::string& path, const AltUpArgs& args)
    : args_(args),
      prediction_coefs_(
          coefficients(weights, path + ".prediction_coefs", args.num_inputs * args.num_inputs)),
      correction_coefs_(coefficients(weights, path + ".correction_coefs", args.num_inputs)),
      modality_router_(weights, path + ".modality_router", args.hidden_size, args.num_inputs),
      router_norm_(weights, path + ".router_norm", args.hidden_size, args.rms_norm_eps) {}

/// A matrix (streams, out), in float32 whatever the model computes in.
array AltUp::coefficients(Weights& weights, const std::string& path, int out_dims) const {
  const array weight = weights.take(path + ".weight", {out_dims, args_.num_inputs});
  if (!weight) return weight;  // missing, and noted as such
  const array matrix = mx::transpose(mx::astype(weight, mx::float32), {1, 0});
  const float bound = args_.coef_clip;
  return bound > 0 ? mx::minimum(mx::maximum(matrix, -bound), bound) : matrix;
}

/// How much each stream has to say of a token: (n, D) → (n, streams) in float32.
array AltUp::modalities(const array& x) const {
  const float scale = 1.0f / static_cast<float>(args_.hidden_size);
  return mx::tanh(mx::astype(modality_router_(router_norm_(x) * scale), mx::float32));
}

array AltUp::predict(const array& streams) const {
  const int count = args_.num_inputs;
  const array x = mx::astype(streams, mx::float32);
  const array coefs = mx::matmul(modalities(stream(streams, args_.active_idx)), prediction_coefs_);
  const array from_to = mx::transpose(mx::reshape(coefs, {-1, count, count}), {0, 2, 1});
  const array change = mx::matmul(mx::transpose(x, {1, 2, 0}), from_to);  // (n, D, streams)
  return mx::astype(mx::transpose(change, {2, 0, 1}) + x, streams.dtype());
}

array AltUp::correct(const array& predictions, const array& activated) const {
  const array coefs = mx::matmul(modalities(activated), correction_coefs_) + 1.0f;  // (n, streams)
  const array innovation = activated - stream(predictions, args_.active_idx);       // (n, D)
  const array change =
      mx::expand_dims(innovation, 0) * mx::expand_dims(mx::transpose(coefs, {1, 0}), -1);
  return mx::astype(change + predictions, activated.dtype());
}
