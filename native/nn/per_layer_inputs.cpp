#include "nn/per_layer_inputs.h"

#include <cmath>
#include <numbers>

#include "nn/activations.h"

using mx::array;

namespace {

/// Tokens without a row in a table of `rows` become token 0.
array within(const array& tokens, int rows) {
  const uint32_t bounds[] = {0, static_cast<uint32_t>(rows)};
  const array zero = mx::from_data(std::span(bounds, 1));
  const array end = mx::from_data(std::span(bounds + 1, 1));
  return mx::where(mx::less(tokens, end), tokens, zero);
}

}  // namespace

PerLayerInputs::PerLayerInputs(Weights& weights, const std::string& path, const PerLayerArgs& args)
    : args_(args),
      embed_tokens_per_layer_(
          weights, path + ".embed_tokens_per_layer", args.vocab_size,
          args.num_hidden_layers * args.dims),
      per_layer_model_projection_(
          weights, path + ".per_layer_model_projection", args.hidden_size,
          args.num_hidden_layers * args.dims),
      per_layer_projection_norm_(
          weights, path + ".per_layer_projection_norm", args.dims, args.rms_norm_eps) {}

array PerLayerInputs::operator()(const array& tokens, const array& embeddings) const {
  const int rows = embeddings.dim(0);
  const float embed_scale = std::sqrt(static_cast<float>(args_.dims));
  const float projection_scale = 1.0f / std::sqrt(static_cast<float>(args_.hidden_size));
  constexpr float input_scale = 1.0f / std::numbers::sqrt2_v<float>;

  const array own = embed_tokens_per_layer_(within(tokens, args_.vocab_size)) * embed_scale;
  const array projected = per_layer_model_projection_(embeddings) * projection_scale;
  const array normed = per_layer_projection_norm_(mx::reshape(projected, {-1, args_.dims}));
  return (mx::reshape(normed, {rows, -1}) + own) * input_scale;
}

array PerLayerInputs::of_layer(const array& inputs, size_t layer) const {
  const int start = static_cast<int>(layer) * args_.dims;
  return mx::slice(inputs, -1, start, start + args_.dims);
}

PerLayerGate::PerLayerGate(Weights& weights, const std::string& path, const PerLayerArgs& args)
    : per_layer_input_gate_(weights, path + ".per_layer_input_gate", args.hidden_size, args.dims),
      per_layer_projection_(weights, path + ".per_layer_projection", args.dims, args.hidden_size),
      post_per_layer_input_norm_(
          weights, path + ".post_per_layer_input_norm", args.hidden_size, args.rms_norm_eps) {}

array PerLayerGate::operator()(const array& x, const array& input) const {
  const array gate = gelu_approx(per_layer_input_gate_(x));
  return post_per_layer_input_norm_(per_layer_projection_(gate * input));
}
