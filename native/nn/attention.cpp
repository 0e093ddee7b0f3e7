#include "nn/attention.h"

#include <cstdint>
#include <string>

#include "engine_error.h"

void check_heads(int heads, int kv_heads, int head_dim) {
  const auto refuse = [](const std::string& problem) {
    throw EngineError("bad_config", "config.json: " + problem);
  };
  if (heads % kv_heads != 0) {
    refuse(
        "\"num_attention_heads\" (" + std::to_string(heads) +
        ") is no multiple of \"num_key_value_heads\" (" + std::to_string(kv_heads) + ")");
  }
  if (head_dim < 1 || head_dim % 2 != 0) {
    refuse("\"head_dim\" (" + std::to_string(head_dim) + ") must be even");
  }
  if (int64_t{heads} * head_dim > (1 << 24)) refuse("the attention heads are too large");
}
