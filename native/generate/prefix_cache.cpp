#include "generate/prefix_cache.h"

#include <algorithm>
#include <exception>
#include <iterator>

#include "mlx/memory.h"

namespace {

// Pieces end at multiples of this many tokens: short enough to be split and forgotten cheaply.
constexpr size_t longest_piece = 256;

size_t common_length(PrefixCache::Tokens a, PrefixCache::Tokens b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

const AttentionCache& attention(const Cache& cache, size_t layer) {
  return static_cast<const AttentionCache&>(cache[layer]);
}

void append_arrays(const TokenRun& run, std::vector<mx::array>& arrays) {
  for (const KeptTokens* kept : {&run.keys, &run.values}) {
    if (*kept) arrays.insert(arrays.end(), kept->parts().begin(), kept->parts().end());
  }
}

}  // namespace

PrefixCache::PrefixCache(std::shared_ptr<const Model> model)
    : model_(std::move(model)), empty_(model_->make_cache()) {}

void PrefixCache::set_limits(const Limits& limits) {
  limits_ = limits;
  shrink();
}

void PrefixCache::close() {
  while (store_one()) continue;
  store_.reset();
  likes_.clear();
  set_limits({});
}

PrefixCache::Node& PrefixCache::root(const Packing& packing) {
  for (const auto& [root_packing, node] : roots_) {
    if (root_packing == packing) return *node;
  }
  Node& added = *roots_.emplace_back(packing, std::make_unique<Node>()).second;
  if (store_) added.hash = store_->root(packing);
  return added;
}

std::optional<PrefixCache::Prefix> PrefixCache::find(
    Tokens text, size_t least, const Packing& packing, int room) {
  Node* node = &root(packing);
  if (store_ && is_on()) {
    try {
      load(*node, text, packing);
    } catch (const std::exception&) {
      store_.reset();
    }
  }
  size_t length = 0;
  while (length < text.size()) {
    const auto child = node->children.find(text[length]);
    if (child == node->children.end()) break;
    node = child->second;
    length += common_length(node->tokens, text.subspan(length));
    if (length < static_cast<size_t>(node->end())) break;
  }
  // Less of a piece needs more before it: where its end is of no use, no other place of it is.
  for (; node->parent && length >= least; node = node->parent) {
    const int end = static_cast<int>(length);
    if (can_use(*node, end)) {
      touch(has_states_ ? *node->snapshot : *node);
      return Prefix{restore(*node, end, room), length};
    }
    length = static_cast<size_t>(node->begin);
  }
  return std::nullopt;
}

bool PrefixCache::can_use(const Node& node, int end) const {
  if (has_states_ && (!node.snapshot || end != node.end())) return false;
  for (size_t layer = 0; layer < kinds_.size(); layer++) {
    if (kinds_[layer] == Kind::tokens && !covers(node, layer, end)) return false;
  }
  return true;
}

/// Whether a layer has all that the token behind `end`, a place of the node, needs.
bool PrefixCache::covers(const Node& node, size_t layer, int end) const {
  const int needed = attention(empty_, layer).first_needed(end);
  for (const Node* piece = &node;; piece = piece->parent) {
    if (piece->piece.runs[layer].start > std::max(needed, piece->begin)) return false;
    if (piece->begin <= needed) return true;
  }
}

Cache PrefixCache::restore(const Node& node, int end, int room) const {
  Cache cache = model_->make_cache();
  for (size_t layer = 0; layer < kinds_.size(); layer++) {
    if (kinds_[layer] == Kind::state) {
      cache.state(layer).restore(node.snapshot->piece.states[layer]);
    }
    if (kinds_[layer] != Kind::tokens) continue;
    const int needed = attention(empty_, layer).first_needed(end);
    std::vector<TokenRun> runs;
    for (const Node* piece = &node;; piece = piece->parent) {
      const TokenRun& run = piece->piece.runs[layer];
      runs.push_back(run.slice(std::max(needed, piece->begin), std::min(end, piece->end())));
      if (piece->begin <= needed) break;
    }
    std::ranges::reverse(runs);
    cache.attention(layer).restore(runs, room);
  }
  return cache;
}

void PrefixCache::open_store(PrefixStore::Options options) {
  clear();
  store_.emplace(std::move(options));
}

/// Reads from the store how a text goes on behind what is known of it.
void PrefixCache::load(Node& root, Tokens text, const Packing& packing) {
  const Piece& like = this->like(packing);
  store_->refresh();
  Node* tip = &root;
  while (static_cast<size_t>(tip->end()) < text.size()) {
    const Tokens rest = text.subspan(static_cast<size_t>(tip->end()));
    const auto child = tip->children.find(rest[0]);
    if (child != tip->children.end()) {
      if (common_length(child->second->tokens, rest) < child->second->tokens.size()) break;
      tip = child->second;
      continue;
    }
    const auto place = store_->find(tip->hash, tip->end(), rest);
    if (!place) break;
    const auto length = static_cast<size_t>(place->end - place->begin);
    Node* next = load_piece(*tip, *place, rest.first(length), {.runs = like.runs});
    if (!next) break;
    tip = next;
  }
  for (; has_states_ && tip->parent && !tip->snapshot; tip = tip->parent) {
    const auto place = store_->find_states(tip->hash, tip->end());
    if (place && load_piece(*tip, *place, {}, {.states = like.states})) break;
  }
}

PrefixCache::Node* PrefixCache::load_piece(
    Node& parent, const PrefixStore::Place& place, Tokens tokens, const Piece& like) {
  auto piece = store_->read(place, like);
  if (!piece) return nullptr;
  if (parent.parent) touch(parent);
  Node node{.begin = place.begin, .tokens = {tokens.begin(), tokens.end()}};
  node.piece = std::move(*piece);
  node.is_stored = true;
  if (!make_room(node.nbytes(), &parent)) return nullptr;
  return &link(parent, std::move(node));
}

/// What layers keep, without any tokens. Nothing of it is computed.
const Piece& PrefixCache::like(const Packing& packing) {
  for (const auto& [known, piece] : likes_) {
    if (known == packing) return piece;
  }
  Cache cache = model_->make_cache();
  const uint32_t token = 0;
  (*model_)(mx::from_data(std::span(&token, 1), {1, 1}), cache);
  if (packing) cache.quantize(*packing);
  learn_kinds(cache);
  Piece piece;
  for (size_t layer = 0; layer < kinds_.size(); layer++) {
    auto& run = piece.runs.emplace_back();
    auto& slots = piece.states.emplace_back();
    if (kinds_[layer] == Kind::tokens) {
      run.keys = attention(cache, layer).keys().blank(1, 0);
      run.values = attention(cache, layer).values().blank(1, 0);
    } else if (kinds_[layer] == Kind::state) {
      slots = cache.state(layer).copy_slots(0);
      for (mx::array& slot : slots) slot = slot ? mx::zeros_like(slot) : mx::array();
    }
  }
  return likes_.emplace_back(packing, std::move(piece)).second;
}

bool PrefixCache::store_one() {
  if (!store_) return false;
  // From the newest on: parents come before their children.
  const auto node = std::find_if(
      nodes_.rbegin(), nodes_.rend(), [](const Node& each) { return !each.is_stored; });
  if (node == nodes_.rend()) return false;
  node->is_stored = true;
  try {
    const PrefixStore::Place place{node->parent->hash, node->hash, node->begin, node->end()};
    if (store_->write(place, node->piece)) return true;
  } catch (const std::exception&) {
    // The folder is not of use any more.
  }
  store_.reset();
  return false;
}

void PrefixCache::insert(Tokens text, const Source& source, Beyond beyond) {
  if (!is_on() || text.empty()) return;
  try {
    insert_or_throw(text, source, beyond);
  } catch (const std::exception&) {
    // Whoever reads the text can do without.
    clear();
  }
}

void PrefixCache::insert_or_throw(Tokens text, const Source& source, Beyond beyond) {
  learn_kinds(source.cache);
  Node* tip = follow(root(source.packing), text);
  if (tip->parent) touch(*tip);
  fill(*tip, source, beyond);
  const int end = static_cast<int>(text.size());
  while (tip && tip->end() < end) {
    const auto begin = static_cast<size_t>(tip->end());
    const size_t stop = std::min(text.size(), (begin / longest_piece + 1) * longest_piece);
    tip = append(*tip, text.subspan(begin, stop - begin), source, beyond);
  }
  if (tip && has_states_) add_snapshot(*tip, source);
  mx::async_eval(std::exchange(fresh_, {}));
}

/// Some layers of a model may share the keys and values of others.
void PrefixCache::learn_kinds(const Cache& cache) {
  if (!kinds_.empty()) return;
  for (size_t layer = 0; layer < cache.size(); layer++) {
    const auto* attention = dynamic_cast<const AttentionCache*>(&cache[layer]);
    const Kind used = attention ? Kind::tokens : Kind::state;
    kinds_.push_back(attention && attention->tokens(0) == 0 ? Kind::unused : used);
    has_states_ = has_states_ || used == Kind::state;
  }
}

/// The last piece of what is known of a text; one in which the text ends or goes on differently is
/// split there, unless the text ends where nothing is missing.
PrefixCache::Node* PrefixCache::follow(Node& root, Tokens text) {
  Node* tip = &root;
  while (static_cast<size_t>(tip->end()) < text.size()) {
    const Tokens rest = text.subspan(static_cast<size_t>(tip->end()));
    const auto child = tip->children.find(rest[0]);
    if (child == tip->children.end()) break;
    tip = child->second;
    const size_t common = common_length(tip->tokens, rest);
    if (common == tip->tokens.size()) continue;
    if (common == rest.size() && can_use(*tip, static_cast<int>(text.size()))) break;
    return split(*tip, common);
  }
  return tip;
}

/// Cuts a piece in two behind so many tokens; returns the first part.
PrefixCache::Node* PrefixCache::split(Node& node, size_t length) {
  bytes_ -= node.nbytes();
  const int cut = node.begin + static_cast<int>(length);
  const auto middle = node.tokens.begin() + static_cast<std::ptrdiff_t>(length);
  Node first{.begin = node.begin, .tokens = {node.tokens.begin(), middle}};
  node.tokens.erase(node.tokens.begin(), middle);
  node.begin = cut;
  for (TokenRun& run : node.piece.runs) {
    TokenRun before{cut, {}, {}};
    if (run.keys && run.start < cut) {
      before = run.copy(run.start, cut);
      run = run.copy(cut, run.stop());
      append_arrays(before, fresh_);
      append_arrays(run, fresh_);
    }
    first.piece.runs.push_back(std::move(before));
  }
  bytes_ += node.nbytes();
  node.is_stored = false;
  Node& upper = link(*node.parent, std::move(first));
  upper.children.emplace(node.tokens[0], &node);
  node.parent = &upper;
  return &upper;
}

/// The first token of which a layer's keys are to be copied.
int PrefixCache::first_copied(const Source& source, size_t layer, Beyond beyond) {
  const AttentionCache& cache = attention(source.cache, layer);
  const int kept = cache.first_kept(source.row);
  if (beyond == Beyond::keep) return kept;
  return std::max(kept, cache.first_needed(cache.tokens(source.row)));
}

/// Adds what the pieces up to the tip lack in layers with a window, and the cache has.
void PrefixCache::fill(Node& tip, const Source& source, Beyond beyond) {
  for (size_t layer = 0; layer < kinds_.size(); layer++) {
    if (kinds_[layer] != Kind::tokens) continue;
    const int first = first_copied(source, layer, beyond);
    for (Node* node = &tip; node->parent && first < node->end(); node = node->parent) {
      TokenRun& old = node->piece.runs[layer];
      const int begin = std::max(first, node->begin);
      if (old.start <= begin) continue;
      TokenRun run = attention(source.cache, layer).copy_tokens(source.row, begin, node->end());
      const size_t more = run.nbytes() - old.nbytes();
      if (!make_room(more, &tip)) return;
      bytes_ += more;
      append_arrays(run, fresh_);
      old = std::move(run);
      node->is_stored = false;
    }
  }
}

/// Adds a piece of text; nothing if there is no room.
PrefixCache::Node* PrefixCache::append(
    Node& tip, Tokens piece, const Source& source, Beyond beyond) {
  Node node{.begin = tip.end(), .tokens = {piece.begin(), piece.end()}};
  for (size_t layer = 0; layer < kinds_.size(); layer++) {
    node.piece.runs.push_back({node.end(), {}, {}});
    if (kinds_[layer] != Kind::tokens) continue;
    const int first = std::max(first_copied(source, layer, beyond), node.begin);
    if (first >= node.end()) continue;
    node.piece.runs.back() =
        attention(source.cache, layer).copy_tokens(source.row, first, node.end());
  }
  if (!make_room(node.nbytes(), &tip)) return nullptr;
  for (const TokenRun& run : node.piece.runs) append_arrays(run, fresh_);
  return &link(tip, std::move(node));
}

void PrefixCache::add_snapshot(Node& tip, const Source& source) {
  if (tip.snapshot) return touch(*tip.snapshot);
  Node node{.begin = tip.end()};
  for (size_t layer = 0; layer < kinds_.size(); layer++) {
    const auto* cache = dynamic_cast<const StateCache*>(&source.cache[layer]);
    node.piece.states.push_back(cache ? cache->copy_slots(source.row) : std::vector<mx::array>());
  }
  if (!make_room(node.nbytes(), &tip)) return;
  for (const auto& slots : node.piece.states) {
    std::ranges::copy_if(slots, std::back_inserter(fresh_), &mx::array::operator bool);
  }
  link(tip, std::move(node));
}

/// Puts a piece behind another one; it counts as used just before that.
PrefixCache::Node& PrefixCache::link(Node& parent, Node node) {
  bytes_ += node.nbytes();
  node.parent = &parent;
  node.hash = parent.hash.after(node.tokens);
  const auto next = parent.parent ? parent.place : nodes_.end();
  const auto place = nodes_.insert(next, std::move(node));
  place->place = place;
  if (place->tokens.empty()) {
    parent.snapshot = &*place;
  } else {
    parent.children[place->tokens[0]] = &*place;
  }
  return *place;
}

void PrefixCache::touch(Node& node) {
  for (Node* used = &node; used->parent; used = used->parent) {
    nodes_.splice(nodes_.end(), nodes_, used->place);
  }
}

/// Forgets the oldest until there is room for more bytes; false if nothing else is left than `keep`
/// and what came before it.
bool PrefixCache::make_room(size_t bytes, const Node* keep) {
  const auto is_short = [&] {
    return bytes_ + bytes > limits_.bytes || mx::memory().active + bytes > limits_.active_memory;
  };
  while (is_short()) {
    if (nodes_.empty() || &nodes_.front() == keep) return false;
    forget_oldest();
  }
  return true;
}

bool PrefixCache::give_way(size_t bytes, size_t active_memory) {
  const auto is_short = [&] { return mx::memory().active + bytes > active_memory; };
  while (is_short() && !nodes_.empty()) forget_oldest();
  return !is_short();
}

void PrefixCache::forget_oldest() {
  // Children are older than their parents, so nothing is behind it.
  const Node& oldest = nodes_.front();
  bytes_ -= oldest.nbytes();
  if (oldest.tokens.empty()) {
    oldest.parent->snapshot = nullptr;
  } else {
    oldest.parent->children.erase(oldest.tokens[0]);
  }
  nodes_.pop_front();
}

void PrefixCache::clear() {
  roots_.clear();
  likes_.clear();
  nodes_.clear();
  fresh_.clear();
  bytes_ = 0;
}
