#include "nn/kept_tokens.h"

#include <string>
#include <vector>

#include "engine_error.h"

using mx::array;

namespace {

constexpr int time_axis = 2;

array empty_tokens(const array& like, int rows, int tokens) {
  return mx::zeros({rows, like.dim(1), tokens, like.dim(3)}, like.dtype());
}

}  // namespace

template <typename Change>
KeptTokens KeptTokens::changed(Change change) const {
  KeptTokens result = *this;
  for (size_t i = 0; i < count(); i++) result.parts_[i] = change(parts_[i], i);
  return result;
}

int KeptTokens::room() const { return parts_[0] ? parts_[0].dim(time_axis) : 0; }

size_t KeptTokens::nbytes() const {
  size_t bytes = 0;
  for (const array& part : parts()) bytes += part ? part.nbytes() : 0;
  return bytes;
}

void KeptTokens::quantize(const KVQuantization& quantization) {
  if (quantization_) return;
  const array dense = parts_[0];
  quantization_ = quantization;
  if (dense) *this = like_this(dense);
}

KeptTokens KeptTokens::like_this(const array& tokens) const {
  if (!quantization_) return KeptTokens(tokens);
  const auto& [group_size, bits] = *quantization_;
  if (tokens.dim(-1) % group_size != 0) {
    throw EngineError(
        "unsupported_kv_quantization", "the heads of this model are " +
                                           std::to_string(tokens.dim(-1)) +
                                           " wide, which groups of " + std::to_string(group_size) +
                                           " do not divide, so its cache cannot be quantized");
  }
  KeptTokens result;
  const mx::Quantized packed = mx::quantize(tokens, group_size, bits, mode);
  result.parts_ = {packed.weight, packed.scales, packed.biases};
  result.quantization_ = quantization_;
  result.dtype_ = tokens.dtype();
  return result;
}

array KeptTokens::dense() const {
  if (!quantization_) return parts_[0];
  const auto& [group_size, bits] = *quantization_;
  return mx::dequantize(parts_[0], parts_[1], parts_[2], group_size, bits, mode, dtype_);
}

void KeptTokens::write(const array& tokens, int start, int room) {
  const KeptTokens fresh = like_this(tokens);
  dtype_ = fresh.dtype_;
  const int missing = room - this->room();
  for (size_t i = 0; i < count(); i++) {
    if (missing > 0) {
      const array more = empty_tokens(fresh.parts_[i], tokens.dim(0), missing);
      const array both[] = {parts_[i], more};
      parts_[i] = parts_[i] ? mx::concatenate(both, time_axis) : more;
    }
    parts_[i] = mx::slice_update(parts_[i], fresh.parts_[i], time_axis, start);
  }
}

KeptTokens KeptTokens::with_parts(std::span<const array> parts) const {
  return changed([&](const array&, size_t i) { return parts[i]; });
}

KeptTokens KeptTokens::slice(int start, int stop) const {
  return changed(
      [&](const array& part, size_t) { return mx::slice(part, time_axis, start, stop); });
}

KeptTokens KeptTokens::padded(int tokens) const {
  if (tokens == 0) return *this;
  return changed([&](const array& part, size_t) {
    const array both[] = {empty_tokens(part, part.dim(0), tokens), part};
    return mx::concatenate(both, time_axis);
  });
}

KeptTokens KeptTokens::blank(int rows, int tokens) const {
  return changed([&](const array& part, size_t) { return empty_tokens(part, rows, tokens); });
}

KeptTokens KeptTokens::row(int row) const {
  return changed([&](const array& part, size_t) { return mx::slice(part, 0, row, row + 1); });
}

KeptTokens KeptTokens::take_rows(const array& indices) const {
  return changed([&](const array& part, size_t) { return mx::take(part, indices, 0); });
}

KeptTokens KeptTokens::concatenate(std::span<const KeptTokens> kept, int axis) {
  return kept[0].changed([&](const array&, size_t i) {
    std::vector<array> parts;
    for (const KeptTokens& each : kept) parts.push_back(each.parts_[i]);
    return mx::concatenate(parts, axis);
  });
}
