// In place of grammar.cpp where the addon is built without llguidance.

#include "engine_error.h"
#include "grammar/grammar.h"

namespace {

EngineError missing() {
  return EngineError("grammar_missing", "this addon was built without llguidance");
}

}  // namespace

void Grammar::Free::operator()(LlgMatcher*) const {}
void TokenTable::Free::operator()(LlgTokenizer*) const {}
TokenTable::TokenTable(const TokenBytes&) { throw missing(); }
Grammar TokenTable::compile(const std::string&, const std::string&) const { throw missing(); }
Grammar Grammar::clone() const { throw missing(); }
std::vector<uint32_t> Grammar::allowed() { throw missing(); }
void Grammar::consume(uint32_t) { throw missing(); }
bool Grammar::is_complete() const { return true; }
bool Grammar::accepts(std::span<const uint32_t>) { throw missing(); }
