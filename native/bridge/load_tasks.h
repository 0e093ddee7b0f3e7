#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bridge/call_task.h"
#include "mlx/io.h"
#include "mlx/memory.h"
#include "weights.h"

/// What a model is made of.
struct Source {
  Config config;
  WeightFiles files;
  Conversion conversion;
};

/// Reads tensors a group at a time, so that running generations go on and a stop is quick. Resolves
/// to a `NativeModel`.
class ReadTask : public CallTask {
 public:
  using Flag = std::shared_ptr<std::atomic<bool>>;

  ReadTask(Addon& addon, CallId id, Flag cancelled)
      : CallTask(addon, id), cancelled_(std::move(cancelled)) {}

  /// What a loading that failed had read goes back to the system.
  ~ReadTask() override {
    unread_.clear();
    if (state_) state_->release();
  }

  void cancel() override { *cancelled_ = true; }

 protected:
  bool advance() override;

  /// Whether the model can be made yet.
  virtual bool is_ready() { return true; }
  /// Makes the model; notes in `unread_` what is then to be read.
  virtual void make() = 0;
  /// What is done once everything is read.
  virtual void complete() {}
  virtual PrefixCache::Limits prefix_limits() const { return {}; }

  std::shared_ptr<ModelState> state_ = std::make_shared<ModelState>();
  std::vector<mx::array> unread_;

 private:
  const Flag cancelled_;
  bool made_ = false;
};

/// The processes that are to share a model, and a number by which they tell that it is the same.
struct Sharers {
  mx::Peers peers;
  uint32_t digest = 0;
};

/// Loads a checkpoint, or the part of it that this process has of a shared one.
class LoadTask : public ReadTask {
 public:
  LoadTask(Addon& addon, CallId id, Source source, std::optional<Sharers> sharers, Flag cancelled)
      : ReadTask(addon, id, std::move(cancelled)),
        source_(std::move(source)),
        sharers_(std::move(sharers)) {}

 protected:
  bool advance() override;
  bool is_ready() override;
  void make() override;
  void complete() override;

 private:
  using Clock = std::chrono::steady_clock;

  const Source source_;
  const std::optional<Sharers> sharers_;
  std::shared_future<mx::Group> joining_;
  Clock::time_point joining_since_;
  mx::Group group_;
};

/// Tells what a checkpoint, or a part of it, would take in memory: builds its model and the graph
/// of one token, and computes neither, so that no tensor is read. Resolves to a `NativeFootprint`.
class MeasureTask : public CallTask {
 public:
  MeasureTask(Addon& addon, CallId id, Source source, mx::Group group)
      : CallTask(addon, id), source_(std::move(source)), group_(group) {}

 protected:
  bool advance() override;

 private:
  const Source source_;
  const mx::Group group_;
};

/// Makes a model of the weights of another one and an adapter; both share the weights.
class AdaptTask : public ReadTask {
 public:
  AdaptTask(
      Addon& addon, CallId id, std::shared_ptr<ModelState> base, Config adapter, Flag cancelled)
      : ReadTask(addon, id, std::move(cancelled)),
        base_(std::move(base)),
        adapter_(std::move(adapter)) {}

 protected:
  void make() override;
  /// Those of its base.
  PrefixCache::Limits prefix_limits() const override;

 private:
  const std::shared_ptr<ModelState> base_;
  const Config adapter_;
};

/// Writes the tensors of a checkpoint, converted, into safetensors files of a folder that mlx-lm
/// reads as well. Resolves to a `NativeConversion`.
class ConvertTask : public CallTask {
 public:
  using Flag = std::shared_ptr<std::atomic<bool>>;

  ConvertTask(Addon& addon, CallId id, Source source, std::string folder, Flag cancelled)
      : CallTask(addon, id),
        source_(std::move(source)),
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

  const Source source_;
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
