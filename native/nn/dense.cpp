#include "nn/dense.h"

Dense::Dense(const Config& config)
    : Dense(config, Weights(config, {.names = {config.text("file")}, .gguf = {}})) {}

Dense::Dense(const Config& config, Weights weights)
    : linear_(
          weights, "linear", config.positive("in_features"), config.positive("out_features"),
          config.boolean("bias", true)),
      has_tanh_(config.boolean("tanh", true)) {
  weights.finish();
  arrays_ = weights.in_memory();
}

mx::array Dense::operator()(const mx::array& x) const {
  const mx::array y = linear_(x);
  return has_tanh_ ? mx::tanh(y) : y;
}
