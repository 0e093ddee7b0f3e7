#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "nn/kv_cache.h"
#include "nn/layer_cache.h"

/// What all layers remember of one text, or of several that grow together: the rows of a batch. A
/// model makes it and knows which kind each of its layers has.
class Cache {
 public:
  template <typename Kind, typename... Arguments>
  void add(Arguments... arguments) {
    layers_.push_back(std::make_unique<Kind>(arguments...));
  }

  size_t size() const { return layers_.size(); }
  const LayerCache& operator[](size_t layer) const { return *layers_[layer]; }
  AttentionCache& attention(size_t layer) { return static_cast<AttentionCache&>(*layers_[layer]); }
  StateCache& state(size_t layer) { return static_cast<StateCache&>(*layers_[layer]); }

  /// Whether every layer keeps all tokens, so that what it has of a text tells what it had at any
  /// place of it.
  bool keeps_all_tokens() const;

  int rows() const { return rows_; }
  /// Puts the rows of others, caches of the same model, behind its own; they end up empty.
  void join(std::span<Cache* const> others);
  /// Leaves out all rows but these.
  void keep_rows(const std::vector<int>& rows);
  /// A copy of these rows.
  Cache copy_rows(const std::vector<int>& rows) const;

  /// Notes this place of the text, for `return_to_mark`.
  void mark();
  /// Forgets the tokens appended since the mark.
  void return_to_mark();
  /// Whether a layer has a state, which no `trim` can cut.
  bool has_state() const;
  /// Forgets the last tokens of those that the last pass appended, which were at least two.
  void trim(int tokens);

  /// Lets attention layers that keep all tokens keep only so many, the first few and the last.
  /// Throws `EngineError` "unsupported_max_kv_size" for a layer that cannot, "invalid_argument"
  /// once there are tokens.
  void limit(int max_kv_size);
  /// Packs the keys and values of all attention layers.
  void quantize(const KVQuantization& quantization);

  /// The arrays of all layers, to evaluate after a prefill chunk.
  std::vector<mx::array> arrays() const;

 private:
  std::vector<std::unique_ptr<LayerCache>> layers_;
  int rows_ = 1;
};
