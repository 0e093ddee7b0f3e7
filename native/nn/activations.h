#pragma once

#include "mlx/compiled.h"
#include "mlx/ops.h"

/// The formulas, op by op.
namespace plain {

inline mx::array silu(const mx::array& x) { return x * mx::sigmoid(x); }

inline mx::array swiglu(const mx::array& gate, const mx::array& x) { return silu(gate) * x; }

inline mx::array precise_swiglu(const mx::array& gate, const mx::array& x) {
  return swiglu(mx::astype(gate, mx::float32), mx::astype(x, mx::float32));
}

inline mx::array swiglu_oai(const mx::array& gate, const mx::array& x) {
  constexpr float limit = 7.0f;
  const mx::array held = mx::minimum(gate, limit);
  const mx::array linear = mx::maximum(mx::minimum(x, limit), -limit) + 1.0f;
  return linear * (held * mx::sigmoid(held * 1.702f));
}

inline mx::array relu_squared(const mx::array& x) { return mx::square(mx::maximum(x, 0.0f)); }

inline mx::array gelu(const mx::array& x) {
  constexpr float sqrt_2 = 1.4142135623730951f;
  return x * (mx::erf(x / sqrt_2) + 1.0f) / 2.0f;
}

inline mx::array gelu_approx(const mx::array& x) {
  constexpr float sqrt_2_over_pi = 0.7978845608028654f;
  const mx::array inner = (x + mx::power(x, 3.0f) * 0.044715f) * sqrt_2_over_pi;
  return x * 0.5f * (mx::tanh(inner) + 1.0f);
}

inline mx::array geglu(const mx::array& gate, const mx::array& x) { return gelu_approx(gate) * x; }

inline mx::array softcap(const mx::array& x, const mx::array& cap) {
  return mx::tanh(x / cap) * cap;
}

}  // namespace plain

inline mx::array silu(const mx::array& x) { return mx::fused<plain::silu>(x); }

/// silu(gate) · x
inline mx::array swiglu(const mx::array& gate, const mx::array& x) {
  return mx::fused<plain::swiglu>(gate, x);
}
/// The same in float32, whatever the types of both.
inline mx::array precise_swiglu(const mx::array& gate, const mx::array& x) {
  return mx::fused<plain::precise_swiglu>(gate, x);
}

/// The same where one array holds gate and x behind one another: (n, 2 · D) → (n, D)
inline mx::array fused_swiglu(const mx::array& gate_and_x) {
  const int dims = gate_and_x.dim(-1) / 2;
  return swiglu(mx::slice(gate_and_x, -1, 0, dims), mx::slice(gate_and_x, -1, dims, 2 * dims));
}

/// gpt-oss's kind: the gate held below 7, x within ±7 and raised by one.
inline mx::array swiglu_oai(const mx::array& gate, const mx::array& x) {
  return mx::fused<plain::swiglu_oai>(gate, x);
}

inline mx::array relu(const mx::array& x) { return mx::maximum(x, 0.0f); }

/// relu(x)²
inline mx::array relu_squared(const mx::array& x) { return mx::fused<plain::relu_squared>(x); }

/// log(1 + eˣ)
inline mx::array softplus(const mx::array& x) {
  return mx::logaddexp(x, mx::scalar(0.0f, x.dtype()));
}

/// GELU by the error function.
inline mx::array gelu(const mx::array& x) { return mx::fused<plain::gelu>(x); }

/// The tanh approximation of GELU.
inline mx::array gelu_approx(const mx::array& x) { return mx::fused<plain::gelu_approx>(x); }

/// gelu(gate) · x, with the tanh approximation.
inline mx::array geglu(const mx::array& gate, const mx::array& x) {
  return mx::fused<plain::geglu>(gate, x);
}

/// Logits held within (−cap, cap), smoothly.
inline mx::array softcap(const mx::array& x, float cap) {
  return mx::fused<plain::softcap>(x, mx::scalar(cap, x.dtype()));
}
