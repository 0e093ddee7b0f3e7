// Runs the bodies of our Metal kernels on the CPU and compares them with plain loops. Prints what
// differs; metal-kernels.test.ts compiles and runs it.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "metal_shim.h"

using Floats = std::vector<float>;

std::mt19937 random_bits(1);

Floats uniform(size_t count, float low, float high) {
  std::uniform_real_distribution<float> values(low, high);
  Floats result(count);
  for (float& value : result) value = values(random_bits);
  return result;
}

bool is_near(const char* kernel, const char* array, const Floats& found, const Floats& expected) {
  for (size_t i = 0; i < expected.size(); i++) {
    if (std::abs(found[i] - expected[i]) < 1e-5f) continue;
    std::printf(
        "%s: %s[%zu] is %g, expected %g\n", kernel, array, i, double{found[i]},
        double{expected[i]});
    return false;
  }
  return true;
}

// ---- The gated delta rule ---------------------------------------------------------------------

template <typename T, int K, int V, int KeyHeads, int Heads, int GateWidth, int Lanes>
void gated_delta_kernel(
    const float* q, const float* k, const float* v, const float* g, const float* beta,
    const float* state, const int* v_shape, T* y, float* next_state) {
#include "nn/gated_delta.metal"
}

struct Sizes {
  int batch, length, K, V, key_heads, heads, gate_width;
};

void gated_delta_loops(
    const Sizes& sizes, const Floats& q, const Floats& k, const Floats& v, const Floats& g,
    const Floats& beta, Floats& state, Floats& y) {
  const auto& [batch, length, K, V, key_heads, heads, gate_width] = sizes;
  for (int b = 0; b < batch; b++) {
    for (int t = 0; t < length; t++) {
      for (int h = 0; h < heads; h++) {
        const int token = (b * length + t) * heads + h;
        const int key = ((b * length + t) * key_heads + h * key_heads / heads) * K;
        for (int row = 0; row < V; row++) {
          float* s = &state[static_cast<size_t>(((b * heads + h) * V + row) * K)];
          float recalled = 0;
          for (int i = 0; i < K; i++) {
            s[i] *= g[token * gate_width + (gate_width == 1 ? 0 : i)];
            recalled += s[i] * k[key + i];
          }
          float& read = y[token * V + row];
          const float delta = (v[token * V + row] - recalled) * beta[token];
          for (int i = 0; i < K; i++) {
            s[i] += delta * k[key + i];
            read += s[i] * q[key + i];
          }
        }
      }
    }
  }
}

template <int K, int V, int KeyHeads, int Heads, int GateWidth, int Lanes>
bool gated_delta_agrees() {
  const Sizes sizes{2, 3, K, V, KeyHeads, Heads, GateWidth};
  const auto& [batch, length, key_dim, value_dim, key_heads, heads, gate_width] = sizes;
  const size_t tokens = batch * length;
  const Floats q = uniform(tokens * KeyHeads * K, -0.3f, 0.3f);
  const Floats k = uniform(tokens * KeyHeads * K, -0.3f, 0.3f);
  const Floats v = uniform(tokens * Heads * V, -1, 1);
  const Floats g = uniform(tokens * Heads * GateWidth, 0, 1);
  const Floats beta = uniform(tokens * Heads, 0, 1);
  const Floats state = uniform(batch * Heads * V * K, -1, 1);
  const int v_shape[] = {batch, length, Heads, V};

  Floats y(v.size());
  Floats next_state(state.size());
  shim::run({32, V * Lanes / 32, static_cast<unsigned>(batch * Heads)}, [&] {
    gated_delta_kernel<float, K, V, KeyHeads, Heads, GateWidth, Lanes>(
        q.data(), k.data(), v.data(), g.data(), beta.data(), state.data(), v_shape, y.data(),
        next_state.data());
  });
  Floats expected_y(v.size());
  Floats expected_state = state;
  gated_delta_loops(sizes, q, k, v, g, beta, expected_state, expected_y);
  return is_near("gated_delta", "y", y, expected_y) &&
         is_near("gated_delta", "next_state", next_state, expected_state);
}

// ---- The state space --------------------------------------------------------------------------

template <typename T, int Heads, int Groups, int P, int N>
void state_space_kernel(
    const float* x, const float* B, const float* C, const float* dt, const float* A, const float* D,
    const float* dt_bias, const float* limits, const float* state, T* y, float* next_state) {
#include "nn/ssm.metal"
}

template <int Heads, int Groups, int P, int N>
bool state_space_agrees() {
  constexpr size_t batch = 2;
  const Floats x = uniform(batch * Heads * P, -1, 1);
  const Floats B = uniform(batch * Groups * N, -0.3f, 0.3f);
  const Floats C = uniform(batch * Groups * N, -0.3f, 0.3f);
  const Floats dt = uniform(batch * Heads, -2, 4);
  const Floats A = uniform(Heads, -2, 0);
  const Floats D = uniform(Heads, -1, 1);
  const Floats dt_bias = uniform(Heads, -1, 1);
  const Floats limits = {0.5f, 2.0f};
  const Floats state = uniform(batch * Heads * P * N, -1, 1);

  Floats y(x.size());
  Floats next_state(state.size());
  shim::run({32, P, static_cast<unsigned>(batch * Heads)}, [&] {
    state_space_kernel<float, Heads, Groups, P, N>(
        x.data(), B.data(), C.data(), dt.data(), A.data(), D.data(), dt_bias.data(), limits.data(),
        state.data(), y.data(), next_state.data());
  });

  Floats expected_y(y.size());
  Floats expected_state(state.size());
  for (size_t row = 0; row < x.size(); row++) {
    const size_t place = row / P;  // of the head in the batch
    const size_t head = place % Heads;
    const size_t group = place * Groups / Heads;
    const float unbounded = std::log(1 + std::exp(dt[place] + dt_bias[head]));
    const float time_step = std::min(std::max(unbounded, limits[0]), limits[1]);
    expected_y[row] = D[head] * x[row];
    for (size_t i = 0; i < N; i++) {
      float& next = expected_state[row * N + i];
      next = std::exp(time_step * A[head]) * state[row * N + i] +
             time_step * x[row] * B[group * N + i];
      expected_y[row] += next * C[group * N + i];
    }
  }
  return is_near("state_space", "y", y, expected_y) &&
         is_near("state_space", "next_state", next_state, expected_state);
}

int main() {
  const bool agrees = gated_delta_agrees<8, 16, 1, 2, 1, 4>() &&
                      gated_delta_agrees<16, 8, 2, 2, 16, 4>() &&
                      gated_delta_agrees<24, 4, 2, 6, 1, 8>() &&
                      state_space_agrees<2, 1, 8, 64>() && state_space_agrees<6, 2, 4, 40>();
  return agrees ? 0 : 1;
}
