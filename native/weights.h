#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "mlx/array.h"

/// How a leaf is quantized: `mode` is one of MLX's ("affine", "mxfp4", "mxfp8", "nvfp4").
struct Quantization {
  int group_size = 0;
  int bits = 0;
  std::string mode;
};

/// The tensors of a checkpoint by name. Modules take what they need while they are built; `finish`
/// then names every tensor that was missing and every one that nobody took.
class Weights {
 public:
  Weights(const Config& config, const std::vector<std::string>& files);

  bool has(const std::string& name) const { return tensors_.contains(name); }

  /// Takes a floating-point tensor of exactly this shape. A missing one is noted, and the result is
  /// empty.
  mx::array take(const std::string& name, const mx::Shape& shape);
  /// The same for a tensor of packed bits, of the given integer type.
  mx::array take_packed(const std::string& name, const mx::Shape& shape, mx::Dtype dtype);

  /// What a checkpoint stores otherwise than the model wants it is changed before the modules are
  /// built, as mlx-lm's `sanitize` does: the names and layout that mlx-lm saves are the model's.

  /// Drops the tensors that the predicate picks: known leftovers, and what the model ignores.
  void drop(const std::function<bool(const std::string& name)>& unwanted);
  /// Gives every tensor the name that the function makes of its own. Two of one name are refused.
  void rename(const std::function<std::string(const std::string& name)>& new_name);
  /// The names of all tensors that nobody took yet, in order.
  std::vector<std::string> names() const;
  /// Takes a tensor out to make others of it. A missing one is noted, and the result is empty.
  mx::array extract(const std::string& name);
  /// Adds a tensor that was made of others.
  void put(const std::string& name, mx::array value);

  /// How the checkpoint stores the (…, in_dims) matrix or matrices of a module: none if dense.
  /// config.json decides by the module's path; where it is silent, the packed shapes tell.
  std::optional<Quantization> quantization(const std::string& path, int in_dims) const;

  /// Throws "missing_tensor" or "unused_tensor" with all names.
  void finish() const;

  /// All tensors taken, by name, to be evaluated before the first forward pass.
  const std::map<std::string, mx::array>& taken() const { return taken_; }

 private:
  struct Tensor {
    mx::array value;
    const std::string* file;
  };

  void note_missing(const std::string& name);

  template <typename Accepts>
  mx::array take(
      const std::string& name, const mx::Shape& shape, const char* kind, Accepts accepts);

  const Config quantization_config_;
  const std::vector<std::string> files_;
  std::map<std::string, Tensor> tensors_;
  std::vector<std::string> missing_;
  std::map<std::string, mx::array> taken_;
};
