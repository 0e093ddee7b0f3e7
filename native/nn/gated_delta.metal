// The gated delta rule for all tokens of a chunk: see gated_delta.h. gated_delta.cpp takes it in as
// text, test/native/metal_kernels.cpp as code.
//
// Each head's matrix S has V rows of K numbers. Rows do not depend on each other, so each is kept in
// the registers of a few threads from the first token to the last: `Lanes` threads of a SIMD group
// of 32, every Lanes-th column each. Arrays, all contiguous:
//   q, k                 (B, L, KeyHeads, K)
//   v, y                 (B, L, Heads, V)
//   g                    (B, L, Heads, GateWidth), where GateWidth is 1 or K
//   beta                 (B, L, Heads)
//   state, next_state    (B, Heads, V, K)
// Threads: 32 × V / (32 / Lanes) × B · Heads.

METAL_KERNEL(
  constexpr int rows_per_simdgroup = 32 / Lanes;
  constexpr int columns = K / Lanes;  // of one thread
  const int tokens = v_shape[1];

  const int lane = thread_index_in_simdgroup % Lanes;
  const int row =
      thread_position_in_grid.y * rows_per_simdgroup + thread_index_in_simdgroup / Lanes;
  const int head = thread_position_in_grid.z % Heads;
  const int key_head = head / (Heads / KeyHeads);
  const int first_token = thread_position_in_grid.z / Heads * tokens;

  auto q_t = q + (first_token * KeyHeads + key_head) * K + lane;
  auto k_t = k + (first_token * KeyHeads + key_head) * K + lane;
  auto v_t = v + (first_token * Heads + head) * V + row;
  auto y_t = y + (first_token * Heads + head) * V + row;
  auto g_t = g + (first_token * Heads + head) * GateWidth + (GateWidth == 1 ? 0 : lane);
  auto beta_t = beta + first_token * Heads + head;

  const int s_start = (thread_position_in_grid.z * V + row) * K + lane;
  float s[columns];
  for (int i = 0; i < columns; i++) s[i] = state[s_start + i * Lanes];

  for (int t = 0; t < tokens; t++) {
    float recalled = 0;
    for (int i = 0; i < columns; i++) {
      s[i] *= static_cast<float>(g_t[GateWidth == 1 ? 0 : i * Lanes]);
      recalled += s[i] * static_cast<float>(k_t[i * Lanes]);
    }
    for (int apart = 1; apart < Lanes; apart *= 2) recalled += simd_shuffle_xor(recalled, apart);

    const float delta =
        (static_cast<float>(*v_t) - recalled) * static_cast<float>(*beta_t);
    float read = 0;
    for (int i = 0; i < columns; i++) {
      s[i] += delta * static_cast<float>(k_t[i * Lanes]);
      read += s[i] * static_cast<float>(q_t[i * Lanes]);
    }
    for (int apart = 1; apart < Lanes; apart *= 2) read += simd_shuffle_xor(read, apart);
    if (lane == 0) *y_t = static_cast<T>(read);

    q_t += KeyHeads * K;
    k_t += KeyHeads * K;
    v_t += Heads * V;
    y_t += Heads * V;
    g_t += Heads * GateWidth;
    beta_t += Heads;
  }

  for (int i = 0; i < columns; i++) next_state[s_start + i * Lanes] = s[i];
)
