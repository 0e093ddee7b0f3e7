#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct LlgMatcher;
struct LlgTokenizer;

/// The bytes that each token of a model stands for, one behind the other. A token that stands for
/// no text begins with 0xff and may then only come where a grammar names it; one without bytes
/// never comes.
struct TokenBytes {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> lengths;  // one for each logit
  std::vector<uint32_t> ends;     // tokens that end a reply
};

/// Follows a text token by token and tells what may come next. Errors have the code "bad_grammar",
/// or "grammar_failed" once it is in use.
class Grammar {
 public:
  explicit Grammar(LlgMatcher* matcher) : matcher_(matcher) {}

  /// One that goes on by itself. From any thread, as long as this one stays as it is.
  Grammar clone() const;
  /// A bit for each token that may come next; an end may come where the text is whole.
  std::vector<uint32_t> allowed();
  /// Reads a token that was allowed, but no end.
  void consume(uint32_t token);
  /// Whether the text is whole and nothing more may come.
  bool is_complete() const;
  /// Whether tokens are a whole text.
  bool accepts(std::span<const uint32_t> tokens);

 private:
  struct Free {
    void operator()(LlgMatcher* matcher) const;
  };

  std::unique_ptr<LlgMatcher, Free> matcher_;
};

/// Makes grammars for the tokens of a model. From any thread.
class TokenTable {
 public:
  explicit TokenTable(const TokenBytes& tokens);

  size_t vocab_size() const { return vocab_size_; }
  /// `type` is "json_schema", "regex" or "lark"; `text` is a stranger's, and bounded by the caller.
  Grammar compile(const std::string& type, const std::string& text) const;

 private:
  struct Free {
    void operator()(LlgTokenizer* tokenizer) const;
  };

  size_t vocab_size_;
  std::unique_ptr<LlgTokenizer, Free> tokenizer_;
};
