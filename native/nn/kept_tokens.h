#pragma once

#include <array>
#include <optional>
#include <span>
#include <utility>

#include "mlx/ops.h"

/// How keys and values are packed, in groups along a head.
struct KVQuantization {
  int group_size = 64;
  int bits = 8;

  bool operator==(const KVQuantization&) const = default;
};

/// Keys or values of many tokens, (B, heads, room, D): one array as it came, or the packed numbers,
/// scales and biases of a quantized one. Their first three axes are the same.
class KeptTokens {
 public:
  /// The mode of quantization, in MLX's words.
  static constexpr const char* mode = "affine";

  KeptTokens() = default;
  explicit KeptTokens(mx::array dense) : parts_{std::move(dense)} {}

  explicit operator bool() const { return static_cast<bool>(parts_[0]); }
  /// Tokens there is room for; 0 if empty.
  int room() const;
  size_t nbytes() const;
  const std::optional<KVQuantization>& quantization() const { return quantization_; }

  /// Packs what is there, and what will be written.
  void quantize(const KVQuantization& quantization);
  /// (B, heads, room, D)
  mx::array dense() const;
  /// The array of a dense one; packed numbers, scales, biases of a quantized one.
  std::span<const mx::array> parts() const { return {parts_.data(), count()}; }
  /// Others of the same kind, of their parts.
  KeptTokens with_parts(std::span<const mx::array> parts) const;

  /// Writes tokens (B, heads, L, D) from `start` on, with room for `room` tokens in all.
  void write(const mx::array& tokens, int start, int room);
  /// Forgets all tokens, not how they are packed.
  void clear() { parts_ = {}; }
  KeptTokens slice(int start, int stop) const;
  KeptTokens first(int tokens) const { return tokens == room() ? *this : slice(0, tokens); }
  /// `tokens` empty ones before the others.
  KeptTokens padded(int tokens) const;
  /// As many rows and tokens of the same kind, with nothing in them.
  KeptTokens blank(int rows, int tokens) const;
  /// One row of the batch; keeps all others alive.
  KeptTokens row(int row) const;
  /// Rows of the batch by their index, (n) int32.
  KeptTokens take_rows(const mx::array& indices) const;
  /// Along the axis of rows (0) or of tokens (2); all are quantized alike.
  static KeptTokens concatenate(std::span<const KeptTokens> kept, int axis);
  /// The same as tokens (B, heads, L, D) would be kept.
  KeptTokens like_this(const mx::array& tokens) const;

 private:
  size_t count() const { return quantization_ ? 3 : 1; }
  template <typename Change>
  KeptTokens changed(Change change) const;

  std::array<mx::array, 3> parts_;
  std::optional<KVQuantization> quantization_;
  mx::Dtype dtype_ = mx::float32;  // of what was quantized
};
