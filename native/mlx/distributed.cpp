#include "mlx/distributed.h"

#include <mlx/c/mlx.h>

#include <mutex>
#include <thread>

#include "engine_error.h"
#include "mlx/connections.h"
#include "mlx/error.h"
#include "mlx/ops.h"
#include "mlx/stream.h"

namespace mx {
namespace {

/// MLX's backends compute on the CPU.
mlx_stream communication_stream() {
  if (!on_gpu()) return current_stream;
  static thread_local const mlx_stream stream = mlx_default_cpu_stream_new();
  return stream;
}

bool has_failed(const std::shared_future<Group>& group) {
  if (group.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
  try {
    group.get();
    return false;
  } catch (const EngineError&) {
    return true;
  }
}

}  // namespace

array Group::part(const array& a, int axis) const {
  if (is_alone()) return a;
  const int length = a.dim(axis) / size_;
  const int place = axis < 0 ? axis + a.ndim() : axis;
  return contiguous(slice(a, place, rank_ * length, (rank_ + 1) * length));
}

array Group::all_sum(array a) const {
  if (!handle_.ctx) return a;
  mlx_array sum{nullptr};
  check(mlx_distributed_all_sum(&sum, a.get(), handle_, communication_stream()));
  return array(sum);
}

array Group::from_first(const array& a) const {
  if (!handle_.ctx) return a;
  // The others give zeros, but zeros that are computed: in all processes the same work is done.
  const uint32_t factor = rank_ == 0 ? 1 : 0;
  return all_sum(a * from_data(std::span(&factor, 1)));
}

array Group::count(bool value) const {
  const uint32_t one = value ? 1 : 0;
  return all_sum(from_data(std::span(&one, 1)));
}

void Group::check_peers() const {
  if (!handle_.ctx || !is_connection_lost()) return;
  throw EngineError("peer_lost", "the connection to another process was lost");
}

void Group::agree(uint32_t number, const std::string& what) const {
  if (!handle_.ctx) return;
  check_peers();
  mlx_array gathered{nullptr};
  const array own = from_data(std::span(&number, 1));
  check(mlx_distributed_all_gather(&gathered, own.get(), handle_, communication_stream()));
  const std::vector<uint32_t> numbers = to_uint32s(array(gathered));
  check_peers();
  for (size_t peer = 0; peer < numbers.size(); peer++) {
    if (numbers[peer] == number) continue;
    // Who fails leaves, and the others must know by then that they differ.
    count(false).item_uint32();
    throw EngineError(
        "peer_mismatch", "process " + std::to_string(rank_) + " and process " +
                             std::to_string(peer) + " were given different " + what);
  }
}

Group Group::connect(const Peers& peers) {
  Group group;
  try {
    check(mlx_distributed_init(&group.handle_, /* strict */ true, peers.backend.c_str()));
  } catch (const EngineError& error) {
    throw EngineError("peer_lost", error.what());
  }
  group.rank_ = mlx_distributed_group_rank(group.handle_);
  group.size_ = mlx_distributed_group_size(group.handle_);
  relay_connections(peers.ports, peers.next_ports);
  return group;
}

std::shared_future<Group> join(const Peers& peers) {
  // MLX keeps one group for the whole process, and so do we; never destroyed, because a thread may
  // still wait for peers when the process ends.
  static std::mutex mutex;
  static auto* joined = new std::shared_future<Group>;
  const std::lock_guard lock(mutex);
  if (!joined->valid() || has_failed(*joined)) {
    std::packaged_task<Group()> connecting([peers] { return Group::connect(peers); });
    *joined = connecting.get_future().share();
    std::thread(std::move(connecting)).detach();
  }
  return *joined;
}

void leave_group() { end_connections(); }

}  // namespace mx
