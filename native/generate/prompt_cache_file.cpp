#include "generate/prompt_cache_file.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "engine_error.h"
#include "mlx/io.h"

using mx::array;

namespace {

constexpr int time_axis = 2;

[[noreturn]] void refuse(const std::string& reason) {
  throw EngineError("prompt_cache_mismatch", reason);
}

/// mlx-lm's class for what a layer keeps.
const char* kind_of(const LayerCache& layer) {
  if (dynamic_cast<const StateCache*>(&layer)) return "ArraysCache";
  if (dynamic_cast<const RotatingKVCache*>(&layer)) return "RotatingKVCache";
  if (dynamic_cast<const ChunkedKVCache*>(&layer)) return "ChunkedKVCache";
  const auto& attention = static_cast<const AttentionCache&>(layer);
  return attention.keys().quantization() ? "QuantizedKVCache" : "KVCache";
}

/// The layers that mlx-lm lists: those that keep anything at all.
std::vector<size_t> listed_layers(const Cache& cache) {
  std::vector<size_t> layers;
  for (size_t layer = 0; layer < cache.size(); layer++) {
    const auto* state = dynamic_cast<const StateCache*>(&cache[layer]);
    if (!state || !state->copy_slots(0).empty()) layers.push_back(layer);
  }
  return layers;
}

int keep_of(const AttentionCache& attention) {
  const auto* rotating = dynamic_cast<const RotatingKVCache*>(&attention);
  return rotating ? rotating->keep() : 0;
}

/// A state as mlx-lm has it: matrices by head, (B, heads, …), where models here may group heads.
array matrices(const array& state) {
  if (state.ndim() <= 4) return state;
  return mx::reshape(state, {state.dim(0), -1, state.dim(-2), state.dim(-1)});
}

std::string described(const array& a, int free_axis) {
  std::string text = std::string(mx::safetensors_name(a.dtype())) + " (";
  for (int axis = 0; axis < a.ndim(); axis++) {
    text += axis > 0 ? ", " : "";
    text += axis == free_axis ? "any" : std::to_string(a.dim(axis));
  }
  return text + ")";
}

/// Reads one layer after the other; `like` is what the model keeps of a single token.
class Reader {
 public:
  Reader(const PromptCacheFile& file, const Cache& like, int room)
      : file_(file), like_(like), room_(room), tensors_(mx::load_safetensors(file.file)) {}

  void read(size_t place, size_t layer, Cache& cache) {
    const PromptCacheFile::Layer& from = file_.layers[place];
    name_ = "layer " + std::to_string(place);
    if (from.kind != kind_of(like_[layer])) {
      refuse(
          name_ + " is a " + from.kind + " in the file, and a " + kind_of(like_[layer]) +
          " in the model");
    }
    if (const auto* state = dynamic_cast<const StateCache*>(&like_[layer])) {
      cache.state(layer).restore(states(from, *state));
    } else {
      read_tokens(from, static_cast<const AttentionCache&>(like_[layer]), cache.attention(layer));
    }
  }

 private:
  array take(const std::string& name, const array& like, int free_axis = -1) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) refuse(name_ + " lacks tensor \"" + name + "\"");
    const array& tensor = found->second;
    mx::Shape wanted = like.shape();
    if (free_axis >= 0 && tensor.ndim() == like.ndim()) {
      wanted[static_cast<size_t>(free_axis)] = tensor.dim(free_axis);
    }
    if (tensor.dtype() != like.dtype() || tensor.shape() != wanted) {
      refuse(
          name_ + " has tensor \"" + name + "\" of " + described(tensor, -1) +
          ", where the model has " + described(like, free_axis));
    }
    return tensor;
  }

  std::vector<array> states(const PromptCacheFile::Layer& from, const StateCache& like) const {
    std::vector<array> slots = like.copy_slots(0);
    if (from.states.size() != slots.size()) {
      refuse(
          name_ + " has " + std::to_string(from.states.size()) + " states, and the model " +
          std::to_string(slots.size()));
    }
    for (size_t slot = 0; slot < slots.size(); slot++) {
      if (from.states[slot].empty() != !slots[slot]) refuse(name_ + " lacks a state");
      if (!slots[slot]) continue;
      const array state = take(from.states[slot], matrices(slots[slot]));
      slots[slot] = mx::reshape(state, slots[slot].shape());
    }
    return slots;
  }

  KeptTokens kept(
      const std::vector<std::string>& names, const std::vector<std::pair<int, int>>& order,
      const KeptTokens& like) const {
    if (names.size() != like.parts().size()) refuse(name_ + " is packed in another way");
    std::vector<array> parts;
    for (size_t i = 0; i < names.size(); i++) {
      parts.push_back(take(names[i], like.parts()[i], time_axis));
    }
    const KeptTokens all = like.with_parts(parts);
    std::vector<KeptTokens> pieces;
    for (const auto& [begin, end] : order) {
      for (const array& part : parts) {
        if (end > part.dim(time_axis)) refuse(name_ + " has fewer tokens than it says");
      }
      if (begin < end) pieces.push_back(all.slice(begin, end));
    }
    if (pieces.empty()) refuse(name_ + " has no tokens");
    return KeptTokens::concatenate(pieces, time_axis);
  }

  void read_tokens(
      const PromptCacheFile::Layer& from, const AttentionCache& like, AttentionCache& cache) const {
    if (from.window != like.window() || from.keep != keep_of(like)) {
      refuse(
          name_ + " has a window of " + std::to_string(from.window) + " tokens, and the model of " +
          std::to_string(like.window()));
    }
    // Layers that use what others keep.
    if (from.keys.empty() && !like.keys()) return;
    if (from.keys.empty() || !like.keys()) refuse(name_ + " keeps nothing, or the model does");
    const KeptTokens keys = kept(from.keys, from.order, like.keys());
    const KeptTokens values = kept(from.values, from.order, like.values());
    TokenRun run{file_.tokens - keys.room(), keys, values};
    // One that keeps the first tokens holds no run of the text.
    const int needed = from.keep > 0 ? std::max(0, file_.tokens - (from.window - 1))
                                     : like.first_needed(file_.tokens);
    if (run.start < 0 || run.start > needed) {
      refuse(
          name_ + " keeps " + std::to_string(keys.room()) + " of " + std::to_string(file_.tokens) +
          " tokens, and the model needs another number of them");
    }
    const TokenRun own = run.copy(from.keep > 0 ? run.start : needed, run.stop());
    cache.restore(std::span(&own, 1), room_);
  }

  const PromptCacheFile& file_;
  const Cache& like_;
  const int room_;
  const std::map<std::string, array> tensors_;
  std::string name_;
};

Cache empty_cache(const Model& model, const PromptCacheFile& file) {
  Cache cache = model.make_cache();
  if (file.max_kv_size > 0) cache.limit(file.max_kv_size);
  return cache;
}

/// What a model keeps of a token, packed as the file says. Nothing of it is computed.
Cache cache_of_one_token(const Model& model, const PromptCacheFile& file) {
  Cache cache = empty_cache(model, file);
  const uint32_t token = 0;
  model(mx::from_data(std::span(&token, 1), {1, 1}), cache);
  if (file.packing) cache.quantize(*file.packing);
  return cache;
}

/// The tree of tensors and its description, as mlx-lm flattens them.
class Tree {
 public:
  void add_class(const char* kind) { metadata_["1." + std::to_string(classes_++)] = kind; }
  void add(const std::string& name, const array& tensor) { tensors_.emplace(name, tensor); }

  void add_number(const std::string& name, int value) {
    const array number = mx::from_data(std::span<const int32_t>(&value, 1));
    add_scalar(name, mx::reshape(number, {}), "scalar");
  }

  void add_none(const std::string& name) { add_scalar(name, mx::zeros({0}, mx::float32), "none"); }

  void add_kept(const std::string& name, const KeptTokens& kept) {
    const auto parts = kept.parts();
    if (parts.size() == 1) return add(name, parts[0]);
    for (size_t i = 0; i < parts.size(); i++) add(name + "." + std::to_string(i), parts[i]);
  }

  void save(const std::string& file, const std::map<std::string, std::string>& user) {
    for (const auto& [name, text] : user) metadata_["0." + name] = text;
    metadata_["2.0"] = "";
    mx::save_safetensors(file, tensors_, metadata_);
  }

 private:
  void add_scalar(const std::string& name, const array& tensor, const char* kind) {
    const std::string entry = "2." + std::to_string(++scalars_);
    metadata_[entry + ".0"] = name;
    metadata_[entry + ".1"] = kind;
    add(name, tensor);
  }

  std::map<std::string, array> tensors_;
  std::map<std::string, std::string> metadata_;
  int classes_ = 0;
  int scalars_ = 0;
};

/// All tokens that a layer keeps, in the order of time.
TokenRun kept_tokens(const AttentionCache& attention) {
  const int tokens = attention.tokens(0);
  TokenRun run = attention.copy_tokens(0, attention.first_kept(0), tokens);
  // mlx-lm's rings are full once there are so many tokens. It overwrites the oldest first, before
  // anything looks at it.
  const int missing =
      attention.window() > 0 ? std::min(tokens, attention.window()) - run.keys.room() : 0;
  if (missing <= 0 || !dynamic_cast<const RotatingKVCache*>(&attention)) return run;
  return {run.start - missing, run.keys.padded(missing), run.values.padded(missing)};
}

void write_tokens(Tree& tree, const std::string& prefix, const AttentionCache& attention) {
  const std::string kind = kind_of(attention);
  const int tokens = attention.tokens(0);
  const auto packing = attention.keys().quantization();
  if (packing != attention.values().quantization() || (packing && kind != "QuantizedKVCache")) {
    throw EngineError(
        "unsupported_prompt_cache_file",
        "mlx-lm cannot quantize all of what it keeps: leave out kvBits");
  }
  int kept = 0;
  if (tokens == 0) {
    tree.add_none(prefix + "0");
    tree.add_none(prefix + "1");
  } else {
    const TokenRun run = kept_tokens(attention);
    kept = run.keys.room();
    tree.add_kept(prefix + "0", run.keys);
    tree.add_kept(prefix + "1", run.values);
  }
  std::vector<int> numbers{tokens};
  if (packing) numbers.insert(numbers.end(), {packing->group_size, packing->bits});
  if (kind == "RotatingKVCache") {
    numbers.insert(numbers.end(), {keep_of(attention), attention.window(), kept});
  } else if (kind == "ChunkedKVCache") {
    numbers.insert(numbers.end(), {attention.window(), tokens - kept});
  }
  for (size_t i = 0; i < numbers.size(); i++) {
    tree.add_number(prefix + std::to_string(i + 2), numbers[i]);
  }
}

void write_states(Tree& tree, const std::string& prefix, const StateCache& state) {
  const auto slots = state.copy_slots(0);
  for (size_t slot = 0; slot < slots.size(); slot++) {
    const std::string name = prefix + "0." + std::to_string(slot);
    slots[slot] ? tree.add(name, matrices(slots[slot])) : tree.add_none(name);
  }
  // Of rows in a batch: how far they are padded, and how long they are.
  tree.add_none(prefix + "1");
  tree.add_none(prefix + "2");
}

}  // namespace

Cache read_prompt_cache(const Model& model, const PromptCacheFile& file, int room) {
  const Cache like = cache_of_one_token(model, file);
  const std::vector<size_t> layers = listed_layers(like);
  if (layers.size() != file.layers.size()) {
    refuse(
        "it has " + std::to_string(file.layers.size()) + " layers, and the model " +
        std::to_string(layers.size()));
  }
  Cache cache = empty_cache(model, file);
  Reader reader(file, like, room);
  for (size_t place = 0; place < layers.size(); place++) reader.read(place, layers[place], cache);
  mx::eval(cache.arrays());
  return cache;
}

void write_prompt_cache(
    const Cache& cache, const std::string& file,
    const std::map<std::string, std::string>& metadata) {
  Tree tree;
  const std::vector<size_t> layers = listed_layers(cache);
  for (size_t place = 0; place < layers.size(); place++) {
    const LayerCache& layer = cache[layers[place]];
    const std::string prefix = std::to_string(place) + ".";
    tree.add_class(kind_of(layer));
    if (const auto* state = dynamic_cast<const StateCache*>(&layer)) {
      write_states(tree, prefix, *state);
    } else {
      write_tokens(tree, prefix, static_cast<const AttentionCache&>(layer));
    }
  }
  tree.save(file, metadata);
}
