#include "models/checks.h"

void check_heads(int heads, int kv_heads, int head_dim) {
  if (heads % kv_heads != 0) {
    refuse_config(
        "\"num_attention_heads\" (" + std::to_string(heads) +
        ") is no multiple of \"num_key_value_heads\" (" + std::to_string(kv_heads) + ")");
  }
  if (head_dim < 1 || head_dim % 2 != 0) {
    refuse_config("\"head_dim\" (" + std::to_string(head_dim) + ") must be even");
  }
  if (int64_t{heads} * head_dim > most_width) refuse_config("the attention heads are too large");
}

void check_width(const std::string& key, int64_t width) {
  if (width > most_width) refuse_config("\"" + key + "\" is too large");
}

void check_linear_heads(int key_heads, int key_head_dim, int value_heads, int value_head_dim) {
  if (value_heads % key_heads != 0) {
    refuse_config(
        "\"linear_num_value_heads\" (" + std::to_string(value_heads) +
        ") is no multiple of \"linear_num_key_heads\" (" + std::to_string(key_heads) + ")");
  }
  checked_product(key_heads, key_head_dim);
  checked_product(checked_product(value_heads, value_head_dim), key_head_dim);
}

void check_experts(int experts, int per_token) {
  if (per_token > experts) {
    refuse_config(
        "\"num_experts_per_tok\" (" + std::to_string(per_token) + ") is more than the " +
        std::to_string(experts) + " experts");
  }
}

int checked_product(int a, int b) {
  if (int64_t{a} * b > most_width) {
    refuse_config(
        "layers of " + std::to_string(a) + " · " + std::to_string(b) + " numbers are too wide");
  }
  return a * b;
}

void check_only(const Config& config, const std::string& key, const std::string& known) {
  const std::string value = config.text(key, known);
  if (value != known) refuse_config("\"" + key + "\" is \"" + value + "\", not \"" + known + "\"");
}
