#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bridge/call_task.h"
#include "mlx/io.h"
#include "mlx/memory.h"
#include "weights.h"

/// Computes some of the arrays, which are then no longer in the list: a piece of work that is short
/// enough to let others have their turn.
void eval_group(std::vector<mx::array>& arrays);

/// Reads the weights a group at a time, so that running generations go on and a stop is quick.
class LoadTask : public CallTask {
 public:
  using Flag = std::shared_ptr<std::atomic<bool>>;

  LoadTask(
      Addon& addon, CallId id, Config config, std::vector<std::string> files, Conversion conversion,
      Flag cancelled)
      : CallTask(addon, id),
        config_(std::move(config)),
        files_(std::move(files)),
        conversion_(std::move(conversion)),
        cancelled_(std::move(cancelled)) {}

  void cancel() override { *cancelled_ = true; }

 protected:
  bool advance() override {
    if (*cancelled_) throw EngineError("cancelled", "loading was cancelled");
    if (!model_) {
      Weights weights(config_, files_, conversion_);
      model_ = make_model(config_, weights);
      weights.finish();
      for (const auto& [name, tensor] : weights.taken()) {
        unread_.push_back(tensor);
        bytes_ += tensor.nbytes();
      }
      return true;
    }
    if (!unread_.empty()) {
      eval_group(unread_);
      return true;
    }
    wire();
    auto state = std::make_shared<ModelState>();
    state->vocab_size = model_->vocab_size();
    state->model = std::move(model_);
    state->bytes = bytes_;
    addon_.thread()->track(state);
    succeed([state, &addon = addon_](Napi::Env env) {
      return addon.model_class.New({to_external(env, state)});
    });
    return false;
  }

 private:
  /// A model runs without wired memory, too, only slower when memory is short.
  void wire() {
    const auto limit = mx::wired_limit_for(bytes_, mx::default_device());
    if (!limit) return;
    try {
      mx::set_wired_limit(*limit);
    } catch (const EngineError&) {
    }
  }

  const Config config_;
  const std::vector<std::string> files_;
  const Conversion conversion_;
  const Flag cancelled_;
  std::unique_ptr<Model> model_;
  std::vector<mx::array> unread_;
  size_t bytes_ = 0;
};

/// Writes the tensors of a checkpoint, converted, into safetensors files of a folder that mlx-lm
/// reads as well. Resolves to a `NativeConversion`.
class ConvertTask : public CallTask {
 public:
  using Flag = std::shared_ptr<std::atomic<bool>>;

  ConvertTask(
      Addon& addon, CallId id, Config config, std::vector<std::string> files, Conversion conversion,
      std::string folder, Flag cancelled)
      : CallTask(addon, id),
        config_(std::move(config)),
        files_(std::move(files)),
        conversion_(std::move(conversion)),
        folder_(std::move(folder)),
        cancelled_(std::move(cancelled)) {}

  void cancel() override { *cancelled_ = true; }

 protected:
  bool advance() override;

 private:
  using Tensors = std::map<std::string, mx::array>;

  void plan_shards();
  std::string shard_name(size_t shard) const;
  void finish();

  const Config config_;
  const std::vector<std::string> files_;
  const Conversion conversion_;
  const std::string folder_;
  const Flag cancelled_;
  bool planned_ = false;
  std::map<std::string, Quantization> quantizations_;
  std::vector<Tensors> shards_;             // those written are empty again
  std::map<std::string, size_t> shard_of_;  // by tensor
  size_t bytes_ = 0;
  size_t parameters_ = 0;
  size_t written_ = 0;
  std::vector<mx::array> uncomputed_;
};
