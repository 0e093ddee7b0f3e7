#pragma once

#include <napi.h>

#include <memory>

#include "grammar/grammar.h"

/// Returns a promise of a `NativeTokenTable`.
Napi::Value make_token_table(const Napi::CallbackInfo& info);
/// Returns a promise of a `NativeGrammar`.
Napi::Value compile_grammar(const Napi::CallbackInfo& info);
/// Whether tokens are a whole text of a grammar.
Napi::Value grammar_accepts(const Napi::CallbackInfo& info);

/// From a `NativeGrammar` for as many tokens.
std::shared_ptr<const Grammar> to_grammar(const Napi::Value& value, int vocab_size);
