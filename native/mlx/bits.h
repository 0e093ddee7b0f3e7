#pragma once

#include <cstdint>
#include <span>

#include "mlx/array.h"

namespace mx {

/// The lowest bits of words as a row of bools, (1, count).
array unpack_bits(std::span<const uint32_t> words, int count);

}  // namespace mx
