#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/model.h"

/// A file of mlx-lm's that holds what each layer of a model keeps of a text. Its header has been
/// checked, and read as this; nothing in it is trusted to fit a model.
struct PromptCacheFile {
  struct Layer {
    std::string kind;  // mlx-lm's class
    int window = 0;    // of which it keeps the tokens; 0 is all
    int keep = 0;      // first tokens that it keeps, too
    // One tensor each, or three where they are packed; none if it keeps nothing.
    std::vector<std::string> keys;
    std::vector<std::string> values;
    std::vector<std::pair<int, int>> order;  // parts of these that are kept, the oldest first
    std::vector<std::string> states;         // tensors; an empty name for none
  };

  std::string file;
  int tokens = 0;
  std::optional<KVQuantization> packing;
  int max_kv_size = 0;  // 0 is none
  std::vector<Layer> layers;
};

/// The cache of such a file, with room for `room` tokens. Throws "prompt_cache_mismatch" where the
/// model would keep something else.
Cache read_prompt_cache(const Model& model, const PromptCacheFile& file, int room);

/// Writes the first row of a cache; `metadata` is what a user says of it. Throws
/// "unsupported_prompt_cache_file" for what mlx-lm has no class for.
void write_prompt_cache(
    const Cache& cache, const std::string& file,
    const std::map<std::string, std::string>& metadata);
