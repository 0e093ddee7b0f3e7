// One token of a state space: see ssm.h. ssm.cpp takes it in as text, test/native/metal_kernels.cpp
// as code.
//
// Each head's matrix has P rows of N numbers. A SIMD group of 32 threads takes one row, every 32nd
// column each. Arrays, all contiguous:
//   x, y                 (B, Heads, P)
//   B, C                 (B, Groups, N)
//   dt                   (B, Heads)
//   A, D, dt_bias        (Heads)
//   limits               (2) the least and the longest step in time
//   state, next_state    (B, Heads, P, N)
// Threads: 32 × P × B · Heads.

METAL_KERNEL(
  const int lane = thread_index_in_simdgroup;
  const int place = thread_position_in_grid.z;  // of the head in the batch
  const int head = place % Heads;
  const int row = place * P + thread_position_in_grid.y;

  const float wish = static_cast<float>(dt[place]) + dt_bias[head];
  float time_step = (wish > 0 ? wish : 0) + log1p(exp(wish > 0 ? -wish : wish));  // softplus
  time_step = time_step < limits[0] ? limits[0] : time_step;
  time_step = time_step > limits[1] ? limits[1] : time_step;

  const float decay = exp(time_step * A[head]);
  const float value = static_cast<float>(x[row]);
  const float written = time_step * value;
  const int first = place / (Heads / Groups) * N;

  float read = 0;
  for (int i = lane; i < N; i += 32) {
    const float next = state[row * N + i] * decay + written * static_cast<float>(B[first + i]);
    read += next * static_cast<float>(C[first + i]);
    next_state[row * N + i] = next;
  }
  for (int apart = 1; apart < 32; apart *= 2) read += simd_shuffle_xor(read, apart);
  if (lane == 0) y[row] = static_cast<T>(read + value * static_cast<float>(D[head]));
)
