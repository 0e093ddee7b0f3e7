#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

/// Work for the inference thread, done in steps so that several can share it.
class Task {
 public:
  virtual ~Task() = default;
  /// Does one step; false when there is nothing left. Must not throw.
  virtual bool step() = 0;
  /// Makes the next step the last. Called from any thread.
  virtual void cancel() {}
};

/// Something that holds MLX arrays on behalf of JavaScript.
class Resource {
 public:
  virtual ~Resource() = default;
  /// Frees the arrays, on the inference thread.
  virtual void release() = 0;
};

/// The one thread on which all MLX work of an environment happens, because MLX streams belong to
/// the thread that made them. Running tasks take turns, a step each, in the order they came.
class InferenceThread {
 public:
  ~InferenceThread() { stop(); }

  /// Starts the thread at the first call. After `stop` the task is dropped.
  void submit(std::shared_ptr<Task> task);
  void submit(std::function<void()> work);

  /// Releases the resource when the thread stops, if it still lives then.
  void track(std::weak_ptr<Resource> resource);

  /// Cancels every task, waits for the steps under way, releases what is left and ends the thread.
  void stop();

 private:
  void run();
  void release_resources();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Task>> tasks_;
  std::vector<std::weak_ptr<Resource>> resources_;
  bool stopping_ = false;
  std::thread thread_;
};
