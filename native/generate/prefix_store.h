#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/kv_cache.h"

/// Stands for a text, the model that read it, and how its cache is packed: 128-bit FNV-1a over all
/// of them.
class TextHash {
 public:
  TextHash after(std::string_view bytes) const;
  TextHash after(std::span<const uint32_t> tokens) const;
  std::string hex() const;
  bool operator==(const TextHash&) const = default;

 private:
  __extension__ using Number = unsigned __int128;
  Number value_ = Number{0x6c62272e07bb0142} << 64 | 0x62b821756295c58d;
};

/// What caches have of a piece of text: the keys and values of its tokens, or the states behind it.
struct Piece {
  std::vector<TokenRun> runs = {};                  // by layer
  std::vector<std::vector<mx::array>> states = {};  // by layer

  size_t nbytes() const;
};

/// Pieces of texts in the files of a folder, for other processes and later ones. A file is named by
/// the text before it and its own, and written under another name first, so that none is ever half
/// there. Nothing that a file says of itself is believed: its header must be the one that the
/// model's own arrays would have.
class PrefixStore {
 public:
  struct Options {
    std::string folder;
    size_t bytes = 0;         // that its files may have together
    std::string fingerprint;  // of the model, in hexadecimal digits
  };

  /// A piece behind a text; one of no tokens holds states.
  struct Place {
    TextHash before;
    TextHash hash;
    int begin;
    int end;
  };

  explicit PrefixStore(Options options) : options_(std::move(options)) {}

  /// Stands for the empty text.
  TextHash root(const std::optional<KVQuantization>& packing) const;

  /// Looks what the folder holds now.
  void refresh();
  /// The longest piece with which a text goes on behind `begin` tokens, or the states there.
  std::optional<Place> find(TextHash before, int begin, std::span<const uint32_t> rest) const;
  std::optional<Place> find_states(TextHash before, int begin) const;
  /// Reads a piece whose layers are of the kinds of `like`; a file that does not fit is removed.
  std::optional<Piece> read(const Place& place, const Piece& like) const;
  /// Writes a piece that is computed, and removes the files that were not used for the longest time
  /// if all would be too large. Says whether it could.
  bool write(const Place& place, const Piece& piece) const;

 private:
  struct Entry {
    size_t tokens;
    std::string hash;
  };

  static std::string name_of(const Place& place);
  bool make_room(size_t bytes) const;

  const Options options_;
  std::multimap<std::string, Entry> entries_;  // by the text before them
};
