#pragma once

#include <vector>

namespace mx {

/// MLX's ring waits for ever once a connection has failed. So it does not see its connections: each
/// is replaced by a pipe within this process, and what goes through it is passed on to the network.
/// When a peer is lost MLX gets zeros in place of what it waits for, and goes on.

/// Comes between MLX and the connections that other processes made to one of our `ports`, or that
/// MLX made to one of their `next_ports`.
void relay_connections(const std::vector<int>& ports, const std::vector<int>& next_ports);

/// Ends all of them. May be called from any thread.
void end_connections();

/// Whether one of them has ended: from then on MLX computes with zeros.
bool is_connection_lost();

}  // namespace mx
