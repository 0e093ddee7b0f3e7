#pragma once

#include <string>
#include <vector>

#include "nn/texts.h"

/// How the hidden states of a text's tokens become one vector, as sentence-transformers does it.
enum class Pooling { cls, lasttoken, max, mean, mean_sqrt_len_tokens, weightedmean };

/// By the name that sentence-transformers gives it. Throws "invalid_argument" for another one.
Pooling to_pooling(const std::string& name);

/// Hidden states (B · L, D) → (B, D) for each kind, one behind the other, in float32.
mx::array pool(const mx::array& hidden, const Texts& texts, const std::vector<Pooling>& poolings);

/// Hidden states (B · L, D) → those of each text's first token, (B, D).
mx::array first_tokens(const mx::array& hidden, const Texts& texts);
/// The same of its last token.
mx::array last_tokens(const mx::array& hidden, const Texts& texts);
