#include "mlx/bits.h"

#include <vector>

namespace mx {

array unpack_bits(std::span<const uint32_t> words, int count) {
  constexpr uint32_t bits_per_word = 32;
  std::vector<uint8_t> bools(words.size() * bits_per_word);
  uint8_t* next = bools.data();
  for (const uint32_t word : words) {
    for (uint32_t bit = 0; bit < bits_per_word; bit++) *next++ = word >> bit & 1;
  }
  const Shape shape{1, count};
  return array(mlx_array_new_data(bools.data(), shape.data(), 2, bool_));
}

}  // namespace mx
