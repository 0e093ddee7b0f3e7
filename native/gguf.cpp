#include "gguf.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine_error.h"
#include "mlx/io.h"
#include "mlx/ops.h"
#include "quantization.h"

using mx::array;

namespace {

constexpr int group_size = 32;

/// Whole numbers (rows, in), a byte each, and what they mean: scales · number + biases, both
/// (rows, in / 32).
struct Grid {
  array numbers, scales, biases;
  int bits;
};

array bytes(const std::vector<uint32_t>& values) {
  return mx::astype(mx::from_data(std::span(values)), mx::uint8);
}
array byte(uint32_t value) { return bytes({value}); }

array operator&(const array& a, uint32_t mask) { return mx::bitwise_and(a, byte(mask)); }
array operator<<(const array& a, uint32_t count) { return mx::left_shift(a, byte(count)); }
array operator>>(const array& a, uint32_t count) { return mx::right_shift(a, byte(count)); }

array part(const array& a, int from, int to) { return mx::slice(a, a.ndim() - 1, from, to); }
array joined(const array& a, const array& b) {
  return mx::concatenate(std::array{a, b}, a.ndim() - 1);
}

/// The 16-bit number at a place of every block: (rows, blocks, 1)
array half(const array& blocks, int at) {
  return mx::astype(mx::view(part(blocks, at, at + 2), mx::float16), mx::float32);
}

array low_then_high(const array& packed) { return joined(packed & 15, packed >> 4); }

// ---- Blocks of 32: (rows, blocks, bytes of a block) -------------------------------------------

Grid q4_0(const array& blocks) {
  const array d = half(blocks, 0);
  return {low_then_high(part(blocks, 2, 18)), d, d * -8.0f, 4};
}

Grid q4_1(const array& blocks) {
  return {low_then_high(part(blocks, 4, 20)), half(blocks, 0), half(blocks, 2), 4};
}

/// The fifth bits of 32 numbers, at their place: (rows, blocks, 32)
array fifth_bits(const array& packed) {
  const array bits = mx::expand_dims(packed, -1);  // (rows, blocks, 4, 1)
  const array spread = mx::right_shift(bits, bytes({0, 1, 2, 3, 4, 5, 6, 7})) & 1;
  return mx::reshape(spread << 4, {packed.dim(0), packed.dim(1), 32});
}

Grid q5_0(const array& blocks) {
  const array d = half(blocks, 0);
  const array high = fifth_bits(part(blocks, 2, 6));
  return {low_then_high(part(blocks, 6, 22)) + high, d, d * -16.0f, 5};
}

Grid q5_1(const array& blocks) {
  const array high = fifth_bits(part(blocks, 4, 8));
  return {low_then_high(part(blocks, 8, 24)) + high, half(blocks, 0), half(blocks, 2), 5};
}

Grid q8_0(const array& blocks) {
  const array d = half(blocks, 0);
  // Signed bytes, less their smallest: the sum wraps.
  return {part(blocks, 2, 34) + byte(128), d, d * -128.0f, 8};
}

// ---- Blocks of 256 ----------------------------------------------------------------------------

/// Eight scales and eight offsets of 6 bits each are in 12 bytes, behind the factors of both.
Grid k_grid(const array& blocks, const array& numbers, int bits) {
  const array a = part(blocks, 4, 8), b = part(blocks, 8, 12), c = part(blocks, 12, 16);
  const array scales = joined(a & 63, (c & 15) + ((a >> 6) << 4));
  const array offsets = joined(b & 63, (c >> 4) + ((b >> 6) << 4));
  return {
      numbers, mx::astype(scales, mx::float32) * half(blocks, 0),
      mx::astype(offsets, mx::float32) * -half(blocks, 2), bits};
}

/// Each 32 bytes hold the low numbers, then the high ones: (rows, blocks, 8, 32)
array k_nibbles(const array& packed) {
  const array fours = mx::reshape(packed, {packed.dim(0), packed.dim(1), 4, 32});
  return mx::reshape(low_then_high(fours), {packed.dim(0), packed.dim(1), 8, 32});
}

Grid q4_k(const array& blocks) { return k_grid(blocks, k_nibbles(part(blocks, 16, 144)), 4); }

Grid q5_k(const array& blocks) {
  const array packed = mx::expand_dims(part(blocks, 16, 48), 2);  // (rows, blocks, 1, 32)
  const array places = mx::expand_dims(bytes({0, 1, 2, 3, 4, 5, 6, 7}), -1);
  const array high = (mx::right_shift(packed, places) & 1) << 4;
  return k_grid(blocks, k_nibbles(part(blocks, 48, 176)) + high, 5);
}

/// (rows, in) in float16
array q6_k(const array& blocks) {
  const int rows = blocks.dim(0), count = blocks.dim(1);
  const array low = low_then_high(mx::reshape(part(blocks, 0, 128), {rows, count, 2, 64}));
  const array packed = mx::reshape(part(blocks, 128, 192), {rows, count, 2, 1, 32});
  const array places = mx::expand_dims(bytes({0, 2, 4, 6}), -1);
  const array high = (mx::right_shift(packed, places) & 3) << 4;  // (rows, blocks, 2, 4, 32)
  const array numbers = low + mx::reshape(high, {rows, count, 2, 128});
  const array centred =
      mx::astype(mx::reshape(numbers, {rows, count, 16, 16}), mx::float32) - 32.0f;
  // Signed bytes: less their smallest they wrap, and it is taken off again.
  const array shifted = mx::astype(part(blocks, 192, 208) + byte(128), mx::float32) - 128.0f;
  const array scales = mx::expand_dims(shifted * half(blocks, 208), -1);
  return mx::astype(mx::reshape(centred * scales, {rows, -1}), mx::float16);
}

// ---- In MLX's layout --------------------------------------------------------------------------

/// Eight numbers of 5 bits in 5 bytes, the first in the lowest bits.
array pack_5_bits(const array& numbers) {  // (rows, in / 8, 8)
  const auto v = [&](int i) { return part(numbers, i, i + 1); };
  const array packed = mx::concatenate(
      std::array{
          v(0) + (v(1) << 5), (v(1) >> 3) + (v(2) << 2) + (v(3) << 7), (v(3) >> 1) + (v(4) << 4),
          (v(4) >> 4) + (v(5) << 1) + (v(6) << 6), (v(6) >> 2) + (v(7) << 3)},
      2);
  return packed;
}

/// Numbers (rows, in) in MLX's words, (rows, in · bits / 32)
array pack(const array& numbers, int rows, int bits) {
  array packed = numbers;
  if (bits == 4) {
    const array pairs = mx::reshape(numbers, {rows, -1, 2});
    packed = part(pairs, 0, 1) + (part(pairs, 1, 2) << 4);
  } else if (bits == 5) {
    packed = pack_5_bits(mx::reshape(numbers, {rows, -1, 8}));
  }
  return mx::view(mx::contiguous(mx::reshape(packed, {rows, -1})), mx::uint32);
}

mx::Quantized packed(const Grid& grid, int rows) {
  const auto halves = [&](const array& a) {
    return mx::astype(mx::reshape(a, {rows, -1}), mx::float16);
  };
  return {pack(grid.numbers, rows, grid.bits), halves(grid.scales), halves(grid.biases)};
}

struct BlockType {
  int block_bytes;
  Grid (*grid)(const array& blocks);
};

const std::map<std::string, BlockType> block_types = {
    {"Q4_0", {18, q4_0}}, {"Q4_1", {20, q4_1}},  {"Q5_0", {22, q5_0}},  {"Q5_1", {24, q5_1}},
    {"Q8_0", {34, q8_0}}, {"Q4_K", {144, q4_k}}, {"Q5_K", {176, q5_k}},
};

/// The rows (…, row bytes) of a packed type.
mx::Quantized unpack(const std::string& type, const array& stored) {
  const auto blocks = [&](int block_bytes) {
    const int row_bytes = stored.dim(-1);
    return mx::reshape(stored, {-1, row_bytes / block_bytes, block_bytes});
  };
  if (type == "Q6_K") return mx::quantize(q6_k(blocks(210)), group_size, 8, "affine");
  const auto known = block_types.find(type);
  if (known == block_types.end()) throw EngineError("bad_config", "unknown GGUF type " + type);
  const array all = blocks(known->second.block_bytes);
  return packed(known->second.grid(all), all.dim(0));
}

/// Files for llama.cpp have the two halves of each head's rows in turns, as it rotates them.
array restore_halves(const array& a, int heads) {
  const array pairs = mx::reshape(a, {heads, a.dim(0) / heads / 2, 2, -1});
  const array rows = mx::swapaxes(pairs, 1, 2);
  return a.ndim() == 1 ? mx::reshape(rows, {-1}) : mx::reshape(rows, {a.dim(0), -1});
}

}  // namespace

std::map<std::string, array> load_gguf(const Config& gguf) {
  const mx::Dtype dtype = to_dtype(gguf).value_or(mx::float16);
  std::map<std::string, array> tensors;
  const auto stored =
      mx::load_safetensors(gguf.text("file"), gguf.text("header"), gguf.count("dataOffset", 0));
  for (const auto& [name, value] : stored) {
    const Config& entry = gguf["tensors"][name];
    const int heads = entry.count("heads", 0);
    const auto put = [&](const std::string& full_name, const array& made) {
      const bool is_stack = value.ndim() == 3 && made.ndim() == 2;
      const array shaped = is_stack ? mx::reshape(made, {value.dim(0), value.dim(1), -1}) : made;
      tensors.emplace(full_name, heads > 0 ? restore_halves(shaped, heads) : shaped);
    };
    if (value.dtype() != mx::uint8) {
      put(name, mx::astype(value, dtype));
      continue;
    }
    const mx::Quantized made = unpack(entry.text("type"), value);
    put(name, made.weight);
    const std::string path = name.substr(0, name.rfind('.'));
    put(path + ".scales", made.scales);
    put(path + ".biases", made.biases);
  }
  return tensors;
}
