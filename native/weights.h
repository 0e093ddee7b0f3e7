#pragma once

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "adapter.h"
#include "config.h"
#include "mlx/array.h"
#include "mlx/distributed.h"
#include "quantization.h"

/// What a model was made of: its configuration, its tensors by name, and how its modules are
/// quantized, by path.
struct Checkpoint {
  Config config;
  std::map<std::string, mx::array> tensors;
  std::map<std::string, Quantization> quantizations;
};

/// Where the tensors of a checkpoint are.
struct WeightFiles {
  std::vector<std::string> names;
  Config gguf;  // what is in the only one, if it is a GGUF file; else they are safetensors files
};

/// How the processes of a group share a matrix, in MLX's words: by rows, so that each has a part of
/// what comes out, or by columns, so that each takes in a part and their results are summed up.
enum class Sharding { none, all_to_sharded, sharded_to_all };

/// The tensors of a checkpoint by name. Modules take what they need while they are built; `finish`
/// then names every tensor that was missing and every one that nobody took.
class Weights {
 public:
  Weights(
      const Config& config, const WeightFiles& files, Conversion conversion = {},
      mx::Group group = {});

  /// A model that was loaded before, with an adapter.
  Weights(const Checkpoint& base, Adapter adapter);

  /// From here on all names are relative to this path, "language_model." for one: a maker of text
  /// models then finds its tensors in a checkpoint that has more than text. Errors keep full names.
  void enter(const std::string& path) { path_ += path; }

  bool has(const std::string& name) const { return tensors_.contains(path_ + name); }

  /// Takes a floating-point tensor of exactly this shape, or the part of this process along an axis
  /// of it. A missing one is noted, and the result is empty.
  mx::array take(const std::string& name, const mx::Shape& shape, std::optional<int> axis = {});
  /// The same for a tensor of packed bits, of the given integer type.
  mx::array take_packed(
      const std::string& name, const mx::Shape& shape, mx::Dtype dtype,
      std::optional<int> axis = {});

  /// The processes that share the model.
  const mx::Group& group() const { return group_; }
  /// What each of them has of `count` equal things, of which `key` of config.json tells. Throws
  /// "cannot_shard" where they cannot be divided.
  int share(const std::string& key, int count) const;

  /// What a checkpoint stores otherwise than the model wants it is changed before the modules are
  /// built, as mlx-lm's `sanitize` does: the names and layout that mlx-lm saves are the model's.

  /// Drops the tensors that the predicate picks: known leftovers, and what the model ignores.
  void drop(const std::function<bool(const std::string& name)>& unwanted);
  /// Drops layers that config.json does not count, `prefix` and a number from `first` on: they
  /// guess several tokens at once.
  void drop_layers(const std::string& prefix, int first);
  /// Gives every tensor the name that the function makes of its own. Two of one name are refused.
  void rename(const std::function<std::string(const std::string& name)>& new_name);
  /// The names of all tensors that nobody took yet, in order.
  std::vector<std::string> names() const;
  /// Takes a tensor out to make others of it. A missing one is noted, and the result is empty.
  mx::array extract(const std::string& name);
  /// The same for a tensor of exactly this shape.
  mx::array extract(const std::string& name, const mx::Shape& shape);
  /// Adds a tensor that was made of others.
  void put(const std::string& name, mx::array value);

  /// What a model asks of conversions, by the ends of paths, as mlx-lm's `quant_predicate` and
  /// `cast_predicate` do. Modules that keep 8 bits: choices of experts suffer most from errors.
  void keep_8_bits(std::initializer_list<std::string> path_ends) { eight_bits_ = path_ends; }
  /// Tensors that are not cast.
  void keep_dtype(std::initializer_list<std::string> name_ends) { uncast_ = name_ends; }

  /// Leaves what is taken below a path out of conversions: mlx-lm would refuse it.
  void keep_unsaved(const std::string& path) { unsaved_.push_back(path_ + path + "."); }

  /// Leaves what is taken below a path unread until it is used. No conversion quantizes it.
  void defer(const std::string& path) { deferred_.push_back(path_ + path); }

  /// How the checkpoint stores the (…, in_dims) matrix or matrices of a module: none if dense.
  /// config.json decides by the module's path; where it is silent, the packed shapes tell.
  std::optional<Quantization> quantization(const std::string& path, int in_dims) const;
  /// How the conversion wants a dense (…, in_dims) matrix: none if it stays dense.
  std::optional<Quantization> wanted_quantization(const std::string& path, int in_dims) const;
  /// Whether the conversion makes quantized matrices dense.
  bool dequantizes() const { return conversion_.dequantize; }
  /// Notes what a matrix became, in the place of the tensors that were taken for it; empty arrays
  /// are left out.
  void replace(
      const std::string& path, const mx::array& weight, const mx::array& scales,
      const mx::array& biases, const std::optional<Quantization>& quantization);

  /// Notes an array that was made of tensors and stays in memory beside them.
  void hold(const mx::array& made) { held_.push_back(made); }

  /// What the adapter adds to the matrix of a module, if there is such an adapter.
  std::optional<LowRank> low_rank(const std::string& path);

  /// Throws "missing_tensor" or "unused_tensor" with all names.
  void finish() const;

  /// All tensors taken, by name.
  const std::map<std::string, mx::array>& taken() const { return taken_; }
  /// Those of them that a conversion writes, and how their modules are quantized.
  std::map<std::string, mx::array> saved() const { return without_unsaved(taken_); }
  std::map<std::string, Quantization> saved_quantizations() const {
    return without_unsaved(quantizations_);
  }
  /// What a model keeps in memory, to be evaluated before the first forward pass.
  std::vector<mx::array> in_memory() const;
  /// What it reads when it is first used.
  std::vector<mx::array> deferred() const;
  /// How each module is quantized by now, by path.
  const std::map<std::string, Quantization>& quantizations() const { return quantizations_; }

 private:
  struct Tensor {
    mx::array value;
    const std::string* file;
  };

  void read(const WeightFiles& files);
  void adopt_foreign(const Config& config);
  void note_missing(const std::string& name);
  bool is_deferred(const std::string& name) const;

  template <typename Value>
  std::map<std::string, Value> without_unsaved(std::map<std::string, Value> by_name) const {
    std::erase_if(by_name, [&](const auto& entry) {
      return std::ranges::any_of(
          unsaved_, [&](const std::string& path) { return entry.first.starts_with(path); });
    });
    return by_name;
  }

  template <typename Accepts>
  mx::array take(
      const std::string& name, const mx::Shape& shape, std::optional<int> axis, const char* kind,
      Accepts accepts);

  const Config quantization_config_;
  const int num_layers_;
  const std::vector<std::string> files_;
  const Conversion conversion_;
  const mx::Group group_;
  std::vector<std::string> eight_bits_;
  std::vector<std::string> uncast_;
  std::vector<std::string> unsaved_;
  std::vector<std::string> deferred_;
  std::string path_;                       // that was entered, "" or with a dot at its end
  std::map<std::string, Tensor> tensors_;  // by full name
  std::vector<std::string> missing_;
  std::map<std::string, mx::array> taken_;
  std::vector<mx::array> held_;
  std::map<std::string, Quantization> quantizations_;
  Adapter adapter_;
};

/// Puts a prefix before all names of a checkpoint that was saved without it, which `known`, one of
/// the bare names, tells: whatever stands around the layers of others is not there then.
void add_prefix(Weights& weights, const std::string& prefix, const std::string& known);
