#include "grammar/grammar.h"

#include <llguidance.h>
#include <pthread.h>

#include <array>
#include <functional>
#include <string_view>

#include "engine_error.h"

namespace {

// What a stranger's grammar may cost: about 20 ms for its expressions, some tens of MB for what
// they become, and 15 ms for each token.
constexpr uint64_t most_lexer_fuel = 1'000'000;
constexpr size_t most_lexer_states = 50'000;
constexpr size_t most_grammar_size = 100'000;

constexpr size_t bits_per_word = 32;

/// Of a panic llguidance also tells where it happened.
EngineError error_of(LlgMatcher* matcher, const char* code) {
  const char* told = llg_matcher_get_error(matcher);
  const std::string_view message = told ? told : "unknown error";
  if (message.starts_with("NoExtensionBias")) {
    return EngineError(code, "the model has no tokens for what must come next");
  }
  return EngineError(code, std::string(message.substr(0, message.find("\n<"))));
}

/// Does some work on a thread of its own, and waits for it: compiling follows rules from one to the
/// next, and overruns the stacks that threads have by themselves.
void on_deep_stack(const std::function<void()>& work) {
  constexpr size_t stack_bytes = size_t{256} << 20;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_bytes);
  pthread_t thread{};
  void* argument = const_cast<std::function<void()>*>(&work);
  const auto run = [](void* given) -> void* {
    (*static_cast<const std::function<void()>*>(given))();
    return nullptr;
  };
  const int failure = pthread_create(&thread, &attributes, run, argument);
  pthread_attr_destroy(&attributes);
  if (failure != 0) throw EngineError("grammar_failed", "no memory for a thread");
  pthread_join(thread, nullptr);
}

}  // namespace

void Grammar::Free::operator()(LlgMatcher* matcher) const { llg_free_matcher(matcher); }

Grammar Grammar::clone() const { return Grammar(llg_clone_matcher(matcher_.get())); }

std::vector<uint32_t> Grammar::allowed() {
  std::vector<uint32_t> mask(llg_matcher_get_mask_byte_size(matcher_.get()) / sizeof(uint32_t));
  const size_t bytes = mask.size() * sizeof(uint32_t);
  if (llg_matcher_compute_mask_into(matcher_.get(), mask.data(), bytes) != 0) {
    throw error_of(matcher_.get(), "grammar_failed");
  }
  return mask;
}

void Grammar::consume(uint32_t token) {
  if (llg_matcher_consume_token(matcher_.get(), token) != 0) {
    throw error_of(matcher_.get(), "grammar_failed");
  }
}

bool Grammar::is_complete() const { return llg_matcher_is_stopped(matcher_.get()); }

bool Grammar::accepts(std::span<const uint32_t> tokens) {
  for (const uint32_t token : tokens) {
    const std::vector<uint32_t> mask = allowed();
    const uint32_t bit = mask[token / bits_per_word] >> token % bits_per_word & 1;
    if (is_complete() || bit == 0) return false;
    consume(token);
  }
  return llg_matcher_is_accepting(matcher_.get());
}

void TokenTable::Free::operator()(LlgTokenizer* tokenizer) const { llg_free_tokenizer(tokenizer); }

TokenTable::TokenTable(const TokenBytes& tokens) : vocab_size_(tokens.lengths.size()) {
  LlgTokenizerInitV2 init{};
  init.struct_size = sizeof(init);
  init.vocab_size = static_cast<uint32_t>(vocab_size_);
  init.token_lens = tokens.lengths.data();
  init.token_bytes = tokens.bytes.data();
  init.use_approximate_greedy_tokenize_fn = true;
  constexpr LlgToken no_token = UINT32_MAX;
  init.tok_eos = tokens.ends.empty() ? no_token : tokens.ends[0];
  if (tokens.ends.size() > 1) {
    init.tok_eos_extra = tokens.ends.data() + 1;
    init.tok_eos_extra_count = static_cast<uint32_t>(tokens.ends.size() - 1);
  }
  std::array<char, 500> message{};
  tokenizer_.reset(llg_new_tokenizer_v2(&init, message.data(), message.size()));
  if (!tokenizer_) throw EngineError("grammar_failed", message.data());
}

Grammar TokenTable::compile(const std::string& type, const std::string& text) const {
  LlgConstraintInit init{};
  llg_constraint_init_set_defaults(&init, tokenizer_.get());
  init.log_stderr_level = 0;
  init.log_buffer_level = 0;
  init.limits.initial_lexer_fuel = most_lexer_fuel;
  init.limits.max_lexer_states = most_lexer_states;
  init.limits.max_grammar_size = most_grammar_size;
  init.limits.verbose_errors = false;
  LlgMatcher* matcher = nullptr;
  bool is_good = false;
  on_deep_stack([&] {
    matcher = llg_new_matcher(&init, type.c_str(), text.c_str());
    // Some are found out to be of no use only here.
    is_good = llg_matcher_compute_mask(matcher) == 0;
  });
  Grammar grammar(matcher);
  if (!is_good) throw error_of(matcher, "bad_grammar");
  return grammar;
}
