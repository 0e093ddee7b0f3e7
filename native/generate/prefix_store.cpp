#include "generate/prefix_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "engine_error.h"
#include "mlx/io.h"

namespace fs = std::filesystem;
using mx::array;

namespace {

constexpr const char* format = "mlx-llm-client prompt cache 1";
constexpr size_t hash_digits = 32;
constexpr const char* extension = ".safetensors";
constexpr const char* unfinished = ".unfinished";
// Its tensors are those of a model's caches; the largest models have some hundred.
constexpr uint64_t most_header_bytes = uint64_t{4} << 20;

/// A tensor of a file: like an array, but with as many tokens as the file has.
struct Tensor {
  std::string name;
  array like;
  mx::Shape shape;

  size_t nbytes() const {
    size_t bytes = mx::size_of(like.dtype());
    for (const int size : shape) bytes *= static_cast<size_t>(size);
    return bytes;
  }
};

std::vector<Tensor> tensors_of(const std::vector<int>& starts, int end, const Piece& like) {
  std::vector<Tensor> tensors;
  for (size_t layer = 0; layer < like.runs.size(); layer++) {
    const int tokens = end - starts[layer];
    const auto add = [&](const char* name, const KeptTokens& kept) {
      for (size_t i = 0; tokens > 0 && i < kept.parts().size(); i++) {
        mx::Shape shape = kept.parts()[i].shape();
        shape[2] = tokens;
        tensors.push_back(
            {std::to_string(layer) + name + std::to_string(i), kept.parts()[i], shape});
      }
    };
    if (!like.runs[layer].keys) continue;
    add(".keys.", like.runs[layer].keys);
    add(".values.", like.runs[layer].values);
  }
  for (size_t layer = 0; layer < like.states.size(); layer++) {
    for (size_t slot = 0; slot < like.states[layer].size(); slot++) {
      const array& state = like.states[layer][slot];
      if (!state) continue;
      const std::string name = std::to_string(layer) + ".states." + std::to_string(slot);
      tensors.push_back({name, state, state.shape()});
    }
  }
  return tensors;
}

/// The way back from the arrays of `tensors_of`.
Piece piece_of(
    std::span<const array> arrays, const std::vector<int>& starts, int end, const Piece& like) {
  Piece piece;
  const auto take = [&](size_t count) {
    const auto taken = arrays.first(count);
    arrays = arrays.subspan(count);
    return taken;
  };
  for (size_t layer = 0; layer < like.runs.size(); layer++) {
    const auto& [_, keys, values] = like.runs[layer];
    piece.runs.push_back({end, {}, {}});
    if (!keys || starts[layer] == end) continue;
    TokenRun& run = piece.runs.back();
    run.start = starts[layer];
    run.keys = keys.with_parts(take(keys.parts().size()));
    run.values = values.with_parts(take(values.parts().size()));
  }
  for (const auto& slots : like.states) {
    auto& states = piece.states.emplace_back();
    for (const array& slot : slots) states.push_back(slot ? take(1)[0] : array());
  }
  return piece;
}

template <typename Numbers>
std::string joined(const Numbers& numbers) {
  std::string text;
  for (const auto number : numbers) {
    if (!text.empty()) text += ',';
    text += std::to_string(number);
  }
  return text;
}

/// The numbers behind "starts" in a header; what is wrong with them shows in what they lead to.
std::vector<int> starts_in(const std::string& header) {
  constexpr std::string_view name = "\"starts\":\"";
  std::vector<int> starts;
  const size_t place = header.find(name);
  if (place == std::string::npos) return starts;
  const char* next = header.data() + place + name.size();
  const char* end = header.data() + header.size();
  for (int start = 0; next < end; next++) {
    const auto [behind, error] = std::from_chars(next, end, start);
    if (error != std::errc()) break;
    starts.push_back(start);
    next = behind;
    if (next == end || *next != ',') break;
  }
  return starts;
}

bool write_all(int file, const char* data, size_t count) {
  while (count > 0) {
    const ssize_t done = ::write(file, data, count);
    if (done <= 0) return false;
    data += done;
    count -= static_cast<size_t>(done);
  }
  return true;
}

bool write_file(const fs::path& path, const std::string& header, const std::vector<Tensor>& data) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return false;
  const uint64_t length = header.size();
  std::array<char, sizeof length> prefix{};
  std::memcpy(prefix.data(), &length, sizeof length);
  bool is_written = write_all(file, prefix.data(), prefix.size()) &&
                    write_all(file, header.data(), header.size());
  for (const Tensor& tensor : data) {
    const std::span<const char> bytes = mx::raw_bytes(tensor.like);
    is_written = is_written && write_all(file, bytes.data(), bytes.size());
  }
  is_written = is_written && fsync(file) == 0;
  return close(file) == 0 && is_written;
}

/// What a file says of itself, and how many bytes of data follow.
std::pair<std::string, uint64_t> read_header(const fs::path& path) {
  std::error_code error;
  // A pipe would be waited for.
  if (!fs::is_regular_file(path, error)) return {};
  const uint64_t size = fs::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  uint64_t length = 0;
  std::array<char, sizeof length> prefix{};
  if (error || !file.read(prefix.data(), prefix.size())) return {};
  std::memcpy(&length, prefix.data(), sizeof length);
  if (length > most_header_bytes || length + sizeof length > size) return {};
  std::string header(length, '\0');
  if (!file.read(header.data(), static_cast<std::streamsize>(length))) return {};
  return {std::move(header), size - length - sizeof length};
}

size_t data_bytes(const std::vector<Tensor>& tensors) {
  size_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += tensor.nbytes();
  return bytes;
}

std::string header_of(
    const std::string& name, const std::vector<int>& starts, const std::vector<Tensor>& tensors) {
  std::string header = "{\"__metadata__\":{\"format\":\"" + std::string(format) + "\",\"text\":\"" +
                       name + "\",\"starts\":\"" + joined(starts) + "\"}";
  size_t begin = 0;
  for (const Tensor& tensor : tensors) {
    const size_t end = begin + tensor.nbytes();
    header += ",\"" + tensor.name + "\":{\"dtype\":\"" + mx::safetensors_name(tensor.like.dtype()) +
              "\",\"shape\":[" + joined(tensor.shape) + "],\"data_offsets\":[" +
              joined(std::array{begin, end}) + "]}";
    begin = end;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

/// Names that this class gives: they have the lengths of two hashes and a number between them.
bool is_ours(const fs::path& path) {
  const std::string name = path.filename().string();
  const auto is_digit = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  return name.size() > 2 * hash_digits &&
         std::all_of(name.begin(), name.begin() + hash_digits, is_digit) &&
         (name.ends_with(extension) || name.ends_with(unfinished));
}

std::vector<fs::directory_entry> files_in(const std::string& folder) {
  std::vector<fs::directory_entry> files;
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end;
       file.increment(error)) {
    if (is_ours(file->path())) files.push_back(*file);
  }
  return files;
}

}  // namespace

size_t Piece::nbytes() const {
  size_t bytes = 0;
  for (const TokenRun& run : runs) bytes += run.nbytes();
  for (const auto& slots : states) {
    for (const array& slot : slots) bytes += slot ? slot.nbytes() : 0;
  }
  return bytes;
}

TextHash TextHash::after(std::string_view bytes) const {
  constexpr Number prime = Number{1} << 88 | 0x13b;
  TextHash hash = *this;
  for (const char byte : bytes) {
    hash.value_ = (hash.value_ ^ static_cast<unsigned char>(byte)) * prime;
  }
  return hash;
}

TextHash TextHash::after(std::span<const uint32_t> tokens) const {
  return after({reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes()});
}

std::string TextHash::hex() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text(hash_digits, '0');
  Number rest = value_;
  for (size_t i = hash_digits; i-- > 0; rest >>= 4)
    text[i] = digits[static_cast<size_t>(rest & 15)];
  return text;
}

TextHash PrefixStore::root(const std::optional<KVQuantization>& packing) const {
  const TextHash model = TextHash().after(format).after(options_.fingerprint);
  if (!packing) return model;
  return model.after(joined(std::array{packing->group_size, packing->bits}));
}

void PrefixStore::refresh() {
  entries_.clear();
  for (const auto& file : files_in(options_.folder)) {
    const std::string name = file.path().stem().string();
    size_t tokens = 0;
    const char* number = name.data() + hash_digits + 1;
    const char* end = name.data() + name.size();
    const auto [behind, error] = std::from_chars(number, end, tokens);
    if (error != std::errc() || file.path().extension() != extension) continue;
    if (static_cast<size_t>(end - behind) != hash_digits + 1) continue;
    entries_.emplace(name.substr(0, hash_digits), Entry{tokens, std::string(behind + 1, end)});
  }
}

std::optional<PrefixStore::Place> PrefixStore::find(
    TextHash before, int begin, std::span<const uint32_t> rest) const {
  std::optional<Place> longest;
  const auto [first, last] = entries_.equal_range(before.hex());
  for (auto entry = first; entry != last; ++entry) {
    const auto& [tokens, hex] = entry->second;
    const int end = begin + static_cast<int>(std::min(tokens, rest.size()));
    if (tokens == 0 || tokens > rest.size() || (longest && longest->end >= end)) continue;
    const TextHash hash = before.after(rest.first(tokens));
    if (hash.hex() == hex) longest = {before, hash, begin, end};
  }
  return longest;
}

std::optional<PrefixStore::Place> PrefixStore::find_states(TextHash before, int begin) const {
  const auto [first, last] = entries_.equal_range(before.hex());
  const bool has_some =
      std::any_of(first, last, [](const auto& entry) { return entry.second.tokens == 0; });
  return has_some ? std::optional<Place>({before, before, begin, begin}) : std::nullopt;
}

std::string PrefixStore::name_of(const Place& place) {
  return place.before.hex() + "-" + std::to_string(place.end - place.begin) + "-" +
         place.hash.hex();
}

std::optional<Piece> PrefixStore::read(const Place& place, const Piece& like) const {
  const fs::path path = fs::path(options_.folder) / (name_of(place) + extension);
  const auto [header, bytes] = read_header(path);
  const std::vector<int> starts = starts_in(header);
  bool fits = starts.size() == like.runs.size() && std::ranges::all_of(starts, [&](int start) {
                return start >= place.begin && start <= place.end;
              });
  const auto tensors = fits ? tensors_of(starts, place.end, like) : std::vector<Tensor>();
  fits =
      fits && header == header_of(name_of(place), starts, tensors) && bytes == data_bytes(tensors);
  std::error_code error;
  if (!fits) {
    fs::remove(path, error);
    return std::nullopt;
  }
  const auto offset = static_cast<int64_t>(sizeof(uint64_t) + header.size());
  const auto arrays = mx::load_safetensors(path.string(), header, offset);
  std::vector<array> in_order;
  for (const Tensor& tensor : tensors) in_order.push_back(arrays.at(tensor.name));
  mx::eval(in_order);
  fs::last_write_time(path, fs::file_time_type::clock::now(), error);
  return piece_of(in_order, starts, place.end, like);
}

bool PrefixStore::write(const Place& place, const Piece& piece) const {
  std::vector<int> starts;
  for (const TokenRun& run : piece.runs) starts.push_back(run.start);
  const std::vector<Tensor> tensors = tensors_of(starts, place.end, piece);
  std::vector<array> arrays;
  for (const Tensor& tensor : tensors) arrays.push_back(tensor.like);
  mx::eval(arrays);
  const std::string name = name_of(place);
  const std::string header = header_of(name, starts, tensors);
  if (!make_room(header.size() + data_bytes(tensors))) return false;
  const fs::path folder(options_.folder);
  // Two processes may write the same at once.
  const fs::path temporary = folder / (name + "." + std::to_string(getpid()) + unfinished);
  std::error_code error;
  const bool is_written = write_file(temporary, header, tensors);
  if (is_written) fs::rename(temporary, folder / (name + extension), error);
  if (!is_written || error) fs::remove(temporary, error);
  return is_written && !error;
}

/// Removes files until there is room for one of so many bytes; those that were never finished, too,
/// grow old.
bool PrefixStore::make_room(size_t bytes) const {
  struct File {
    fs::file_time_type used;
    size_t bytes;
    fs::path path;
  };
  std::vector<File> files;
  std::error_code error;
  size_t sum = sizeof(uint64_t) + bytes;
  for (const auto& entry : files_in(options_.folder)) {
    const size_t size = entry.file_size(error);
    const auto used = entry.last_write_time(error);
    if (error) continue;  // another process has removed it
    sum += size;
    files.push_back({used, size, entry.path()});
  }
  std::ranges::sort(files, {}, &File::used);
  for (auto file = files.begin(); sum > options_.bytes && file != files.end(); ++file) {
    fs::remove(file->path, error);
    sum -= file->bytes;
  }
  return sum <= options_.bytes;
}
