#include "mlx/io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "engine_error.h"

namespace mx {

namespace {

// macOS reads fewer than 2^31 bytes at a time.
constexpr size_t most_at_once = size_t{1} << 30;

/// Bytes that come before those of a file. Tensors are read from several threads, each at its own
/// offset.
class PrefixedFile {
 public:
  PrefixedFile(const std::string& path, std::string prefix, int64_t data_offset)
      : path_(path),
        prefix_(std::move(prefix)),
        data_offset_(data_offset),
        descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  PrefixedFile(const PrefixedFile&) = delete;
  PrefixedFile& operator=(const PrefixedFile&) = delete;
  ~PrefixedFile() {
    if (is_open()) close(descriptor_);
  }

  bool is_open() const { return descriptor_ >= 0; }
  const char* path() const { return path_.c_str(); }
  size_t position() const { return position_; }
  void seek(int64_t offset, int whence) {
    const size_t from = whence == SEEK_CUR ? position_ : whence == SEEK_END ? size() : 0;
    position_ = static_cast<size_t>(static_cast<int64_t>(from) + offset);
  }

  size_t size() const {
    struct stat status{};
    const off_t bytes = fstat(descriptor_, &status) == 0 ? status.st_size - data_offset_ : 0;
    return prefix_.size() + static_cast<size_t>(std::max<off_t>(bytes, 0));
  }

  void read(char* data, size_t count) {
    read_at(data, count, position_);
    position_ += count;
  }

  void read_at(char* data, size_t count, size_t offset) const {
    if (offset < prefix_.size()) {
      const size_t part = std::min(count, prefix_.size() - offset);
      std::memcpy(data, prefix_.data() + offset, part);
      data += part;
      count -= part;
      offset += part;
    }
    off_t place = static_cast<off_t>(offset - prefix_.size()) + data_offset_;
    while (count > 0) {
      const ssize_t got = pread(descriptor_, data, std::min(count, most_at_once), place);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw EngineError("mlx_error", path_ + ": " + std::strerror(errno));
      if (got == 0) throw EngineError("mlx_error", path_ + " is cut short");
      data += got;
      place += got;
      count -= static_cast<size_t>(got);
    }
  }

 private:
  const std::string path_;
  const std::string prefix_;
  const int64_t data_offset_;
  const int descriptor_;
  size_t position_ = 0;
};

PrefixedFile& file_of(void* descriptor) { return *static_cast<PrefixedFile*>(descriptor); }

const mlx_io_vtable prefixed_file = {
    .is_open = [](void* file) { return file_of(file).is_open(); },
    .good = [](void* file) { return file_of(file).is_open(); },
    .tell = [](void* file) { return file_of(file).position(); },
    .seek = [](void* file, int64_t offset, int whence) { file_of(file).seek(offset, whence); },
    .read = [](void* file, char* data, size_t count) { file_of(file).read(data, count); },
    .read_at_offset = [](void* file, char* data, size_t count,
                         size_t offset) { file_of(file).read_at(data, count, offset); },
    .write = [](void*, const char*, size_t) {},
    .label = [](void* file) { return file_of(file).path(); },
    .free = [](void* file) { delete &file_of(file); },
};

/// Calls a loading function of mlx-c. Files are read on the CPU whatever the model computes on.
template <typename Load>
std::map<std::string, array> load_with(Load load) {
  mlx_map_string_to_array tensors = mlx_map_string_to_array_new();
  mlx_map_string_to_string metadata = mlx_map_string_to_string_new();
  mlx_stream cpu = mlx_default_cpu_stream_new();
  const int return_code = load(&tensors, &metadata, cpu);
  mlx_stream_free(cpu);
  mlx_map_string_to_string_free(metadata);

  std::map<std::string, array> result;
  if (return_code == 0) {
    auto iterator = mlx_map_string_to_array_iterator_new(tensors);
    const char* name = nullptr;
    mlx_array tensor{nullptr};
    while (mlx_map_string_to_array_iterator_next(&name, &tensor, iterator) == 0) {
      result.emplace(name, array(std::exchange(tensor, mlx_array{nullptr})));
    }
    mlx_map_string_to_array_iterator_free(iterator);
  }
  mlx_map_string_to_array_free(tensors);
  check(return_code);
  return result;
}

}  // namespace

std::map<std::string, array> load_safetensors(const std::string& file) {
  return load_with([&](auto* tensors, auto* metadata, mlx_stream cpu) {
    return mlx_load_safetensors(tensors, metadata, file.c_str(), cpu);
  });
}

std::map<std::string, array> load_safetensors(
    const std::string& file, const std::string& header, int64_t data_offset) {
  std::string prefix(sizeof(uint64_t), '\0');
  const uint64_t length = header.size();
  std::memcpy(prefix.data(), &length, sizeof length);
  auto opened = std::make_unique<PrefixedFile>(file, prefix + header, data_offset);
  if (!opened->is_open()) throw EngineError("mlx_error", file + " cannot be opened");
  const mlx_io_reader reader = mlx_io_reader_new(opened.release(), prefixed_file);
  const auto free_reader = [](const mlx_io_reader* held) { mlx_io_reader_free(*held); };
  const std::unique_ptr<const mlx_io_reader, decltype(free_reader)> guard(&reader, free_reader);
  return load_with([&](auto* tensors, auto* metadata, mlx_stream cpu) {
    return mlx_load_safetensors_reader(tensors, metadata, reader, cpu);
  });
}

void save_safetensors(
    const std::string& file, const std::map<std::string, array>& tensors,
    const std::map<std::string, std::string>& metadata) {
  mlx_map_string_to_array map = mlx_map_string_to_array_new();
  mlx_map_string_to_string texts = mlx_map_string_to_string_new();
  for (const auto& [name, text] : metadata) {
    mlx_map_string_to_string_insert(texts, name.c_str(), text.c_str());
  }
  for (const auto& [name, tensor] : tensors) {
    mlx_map_string_to_array_insert(map, name.c_str(), tensor.get());
  }
  const int return_code = mlx_save_safetensors(file.c_str(), map, texts);
  mlx_map_string_to_string_free(texts);
  mlx_map_string_to_array_free(map);
  check(return_code);
}

size_t size_of(Dtype dtype) { return mlx_dtype_size(dtype); }

const char* safetensors_name(Dtype dtype) {
  switch (dtype) {
    case float32:
      return "F32";
    case float16:
      return "F16";
    case bfloat16:
      return "BF16";
    case uint32:
      return "U32";
    default:
      throw EngineError("mlx_error", "an array of a cache is of an unexpected type");
  }
}

std::span<const char> raw_bytes(const array& a) {
  return {reinterpret_cast<const char*>(mlx_array_data_uint8(a.get())), a.nbytes()};
}

}  // namespace mx
