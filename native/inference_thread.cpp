#include "inference_thread.h"

#include "mlx/stream.h"

namespace {

class Call : public Task {
 public:
  explicit Call(std::function<void()> work) : work_(std::move(work)) {}

  bool step() override {
    work_();
    return false;
  }

 private:
  std::function<void()> work_;
};

}  // namespace

void InferenceThread::submit(std::shared_ptr<Task> task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void InferenceThread::submit(std::function<void()> work) {
  submit(std::make_shared<Call>(std::move(work)));
}

void InferenceThread::track(std::weak_ptr<Resource> resource) {
  const std::lock_guard lock(mutex_);
  std::erase_if(resources_, [](const auto& tracked) { return tracked.expired(); });
  resources_.push_back(std::move(resource));
}

void InferenceThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& task : tasks_) task->cancel();
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void InferenceThread::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) break;
    // The task stays in the queue during its step, so that `stop` can cancel it.
    std::shared_ptr<Task> task = tasks_.front();
    lock.unlock();
    const bool goes_on = task->step();
    lock.lock();
    tasks_.pop_front();
    if (goes_on) tasks_.push_back(std::move(task));
    lock.unlock();
    task.reset();  // the last reference may free arrays: never under the lock
    lock.lock();
  }
  lock.unlock();
  release_resources();
  mx::close_thread_stream();
}

void InferenceThread::release_resources() {
  for (const auto& tracked : resources_) {
    if (const auto resource = tracked.lock()) resource->release();
  }
  resources_.clear();
}
