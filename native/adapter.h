#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "mlx/array.h"

/// What an adapter adds to the matrix of a module: scale · a @ b, both small.
struct LowRank {
  mx::array a;          // (in, r), of experts (n, r, in)
  mx::array b;          // (r, out), of experts (n, out, r)
  mx::array magnitude;  // (out), of DoRA only
  float scale = 1.0f;
};

/// The tensors of an adapter by the module that they are for. Modules take what is theirs;
/// `leftovers` then names what no module took.
class Adapter {
 public:
  /// Nothing.
  Adapter() = default;
  /// Reads an adapter as JavaScript describes it, a `NativeAdapter`. Throws "bad_config" or
  /// "missing_tensor".
  explicit Adapter(const Config& description);

  /// The update of the module at a path, if there is one. Throws "missing_tensor" for half of one.
  std::optional<LowRank> take(const std::string& path);
  /// Whole tensors by name, which replace those of the model.
  const std::map<std::string, mx::array>& replacements() const { return replacements_; }

  std::vector<std::string> leftovers() const;
  /// All tensors, to be evaluated before the first forward pass.
  const std::vector<mx::array>& tensors() const { return tensors_; }

 private:
  std::map<std::string, LowRank> updates_;
  std::map<std::string, mx::array> replacements_;
  std::vector<mx::array> tensors_;
};
