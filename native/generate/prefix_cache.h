#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "generate/prefix_store.h"
#include "models/model.h"

/// What a model remembers of the texts it has read, so that a text that begins like one of them
/// need not be read again from the start: a trie of pieces of text. Each piece has copies of the
/// keys and values of its tokens; recurrent layers, which cannot be cut, have snapshots where a
/// text was left.
class PrefixCache {
 public:
  using Tokens = std::span<const uint32_t>;
  using Packing = std::optional<KVQuantization>;

  struct Limits {
    size_t bytes = 0;                                           // that it may hold; 0 turns it off
    size_t active_memory = std::numeric_limits<size_t>::max();  // of MLX, beyond which it shrinks
  };

  /// A row of a cache, and how that is packed.
  struct Source {
    const Cache& cache;
    int row = 0;
    Packing packing;
  };

  /// What layers with a window have of a text beyond the window before its end: worth its memory
  /// where texts may part.
  enum class Beyond { drop, keep };

  struct Prefix {
    Cache cache;
    size_t tokens;
  };

  explicit PrefixCache(std::shared_ptr<const Model> model);

  const Limits& limits() const { return limits_; }
  void set_limits(const Limits& limits);
  bool is_on() const { return limits_.bytes > 0; }
  /// Keeps what it remembers in a folder as well, and looks there for what it does not know.
  void open_store(PrefixStore::Options options);
  /// Writes a piece that is in no file yet; false if there is none.
  bool store_one();
  size_t bytes() const { return bytes_; }
  /// Writes what is in no file yet, and forgets all.
  void close();
  /// Forgets the oldest while memory is short.
  void shrink() { make_room(0, nullptr); }
  /// The same until there are so many bytes beside what is in use; says whether there are.
  bool give_way(size_t bytes, size_t active_memory);

  /// The longest beginning of a text that can be used and has at least so many tokens, with room
  /// for `room` tokens. It is computed with whatever uses it.
  std::optional<Prefix> find(Tokens text, size_t least, const Packing& packing, int room);
  /// Remembers a text, which is all that a row of a cache has seen.
  void insert(Tokens text, const Source& source, Beyond beyond);

 private:
  struct Node;
  using Nodes = std::list<Node>;

  /// A piece of text; or, without tokens, the snapshot at the end of its parent.
  struct Node {
    Node* parent = nullptr;
    int begin = 0;
    std::vector<uint32_t> tokens = {};
    Piece piece = {};                         // of each layer all tokens, or the last ones
    std::map<uint32_t, Node*> children = {};  // by their first token
    Node* snapshot = nullptr;
    Nodes::iterator place = {};
    TextHash hash = {};  // of the text up to its end
    bool is_stored = false;

    int end() const { return begin + static_cast<int>(tokens.size()); }
    size_t nbytes() const { return piece.nbytes(); }
  };

  enum class Kind { unused, tokens, state };

  Node& root(const Packing& packing);
  bool can_use(const Node& node, int end) const;
  bool covers(const Node& node, size_t layer, int end) const;
  Cache restore(const Node& node, int end, int room) const;

  void load(Node& root, Tokens text, const Packing& packing);
  Node* load_piece(Node& parent, const PrefixStore::Place& place, Tokens tokens, const Piece& like);
  const Piece& like(const Packing& packing);

  void insert_or_throw(Tokens text, const Source& source, Beyond beyond);
  void learn_kinds(const Cache& cache);
  Node* follow(Node& root, Tokens text);
  Node* split(Node& node, size_t length);
  static int first_copied(const Source& source, size_t layer, Beyond beyond);
  void fill(Node& tip, const Source& source, Beyond beyond);
  Node* append(Node& tip, Tokens piece, const Source& source, Beyond beyond);
  void add_snapshot(Node& tip, const Source& source);

  Node& link(Node& parent, Node node);
  void touch(Node& node);
  bool make_room(size_t bytes, const Node* keep);
  void forget_oldest();
  void clear();

  const std::shared_ptr<const Model> model_;
  const Cache empty_;
  std::vector<Kind> kinds_;  // of the layers; known once a text was read
  bool has_states_ = false;
  Limits limits_;
  size_t bytes_ = 0;
  std::optional<PrefixStore> store_;
  std::vector<std::pair<Packing, Piece>> likes_;  // pieces without tokens
  std::vector<std::pair<Packing, std::unique_ptr<Node>>> roots_;
  Nodes nodes_;                   // in the order of their last use, parents behind their children
  std::vector<mx::array> fresh_;  // copies that are not yet being computed
};
