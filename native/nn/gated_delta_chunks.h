#pragma once

#include "mlx/ops.h"

/// The gated delta rule (see gated_delta.h) for many tokens: chunk by chunk, with a few products
/// for each, where going from token to token takes many small ones.
/// https://arxiv.org/abs/2412.06464, section 3.3
///
/// q and k (B, L, key heads, 1, K), v (B, L, key heads, heads per key, V), log_g and beta
/// (B, L, key heads, heads per key, 1), all float32 → (B, L, key heads, heads per key, V). `state`
/// is (B, 1, key heads, heads per key, V, K).
mx::array gated_delta_by_chunks(
    const mx::array& q, const mx::array& k, const mx::array& v, const mx::array& log_g,
    const mx::array& beta, mx::array& state);
