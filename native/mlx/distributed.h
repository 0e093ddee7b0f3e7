#pragma once

#include <cstdint>
#include <future>
#include <string>
#include <vector>

#include "mlx/array.h"

namespace mx {

/// The processes that are to form a group; MLX reads the rest from its environment variables.
struct Peers {
  std::string backend;  // MLX's "ring" or "jaccl"
  int rank = 0;         // of this process
  int size = 1;
  std::vector<int> ports;       // on which a ring's process hears the one before it
  std::vector<int> next_ports;  // on which the one after it hears
};

/// The processes that compute a model together, each with a part of its matrices. What they ask of
/// each other they must ask in the same order.
class Group {
 public:
  /// This process alone.
  Group() = default;
  /// A process of a group that is not connected: enough to tell what its part is.
  explicit Group(const Peers& peers) : rank_(peers.rank), size_(peers.size) {}

  int size() const { return size_; }
  bool is_alone() const { return size_ == 1; }

  /// The part of this process, of equal ones along an axis.
  array part(const array& a, int axis) const;

  /// The sum of what all processes have, in each of them.
  array all_sum(array a) const;
  /// What the first process has, in each of them; uint32.
  array from_first(const array& a) const;
  /// Throws "peer_lost" once a process is gone: what was computed since then means nothing.
  void check_peers() const;
  /// Throws "peer_mismatch" unless all processes gave the same number: they differ in `what`.
  void agree(uint32_t number, const std::string& what) const;

  /// How many processes say so; uint32.
  array count(bool value) const;

 private:
  friend std::shared_future<Group> join(const Peers& peers);
  static Group connect(const Peers& peers);

  mlx_distributed_group handle_{nullptr};  // MLX keeps it until the process ends
  int rank_ = 0;
  int size_ = 1;
};

/// Connects the processes that the environment names, on a thread of its own because they may be
/// long in coming.
std::shared_future<Group> join(const Peers& peers);

/// Ends the connections, if there are any, so that nobody waits any more, here or there: what is
/// computed together fails with "peer_lost". May be called from any thread.
void leave_group();

}  // namespace mx
