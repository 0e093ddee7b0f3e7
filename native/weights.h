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

  /// Drops the tensors that the predicate picks: known leftovers, and what the model ignores.
  void drop(const std::function<bool(const std::string& name)>& unwanted);

  /// How the checkpoint stores the (…, in_dims) matrix of a module: none if it is dense.
  /// config.json decides by the module's path; where it is silent, the packed shapes tell.
  std::optional<Quantization> quantization(const std::string& path, int in_dims) const;

  /// Throws "missing_tensor" or "unused_tensor" with all names.
  void finish() const;

  /// All tensors taken, to be evaluated before the first forward pass.
  const std::vector<mx::array>& taken() const { return taken_; }

 private:
  struct Tensor {
    mx::array value;
    const std::string* file;
  };

  template <typename Accepts>
  mx::array take(
      const std::string& name, const mx::Shape& shape, const char* kind, Accepts accepts);

  const Config quantization_config_;
  const std::vector<std::string> files_;
  std::map<std::string, Tensor> tensors_;
  std::vector<std::string> missing_;
  std::vector<mx::array> taken_;
};
