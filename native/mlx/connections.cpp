#include "mlx/connections.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

#include "engine_error.h"

namespace mx {
namespace {

// A machine that says nothing for so long, though it is asked, is gone.
constexpr int silence_seconds = 2;
constexpr int asked_every_seconds = 1;
constexpr int times_asked = 4;
constexpr int seconds_until_gone = silence_seconds + asked_every_seconds * times_asked;

// Of the pipes and the network, for the hidden states of a long chunk of a prompt.
constexpr int buffer_bytes = 1 << 20;

std::atomic<bool> lost = false;

struct Connections {
  std::mutex mutex;
  std::vector<int> sockets;
};

Connections& connections() {
  // Never destroyed, because the threads that use them end with the process.
  static auto* connections = new Connections;
  return *connections;
}

using Address = int (*)(int, sockaddr*, socklen_t*);

/// The port of one end of a socket; −1 where there is no such end.
int port_of(int socket, Address address) {
  sockaddr_storage place{};
  socklen_t length = sizeof(place);
  if (address(socket, reinterpret_cast<sockaddr*>(&place), &length) != 0) return -1;
  if (place.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(place).sin_port);
  if (place.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6&>(place).sin6_port);
  return -1;
}

/// MLX keeps its sockets to itself, but those of the process can be counted.
std::vector<int> find_connections(
    const std::vector<int>& ports, const std::vector<int>& next_ports) {
  const auto has = [](const std::vector<int>& list, int port) {
    return std::ranges::find(list, port) != list.end();
  };
  const int most = static_cast<int>(std::min(sysconf(_SC_OPEN_MAX), 65536L));
  std::vector<int> found;
  for (int socket = 0; socket < most; socket++) {
    const int remote = port_of(socket, getpeername);
    if (remote < 0) continue;
    if (has(ports, port_of(socket, getsockname)) || has(next_ports, remote)) {
      found.push_back(socket);
    }
  }
  return found;
}

void set_option(int socket, int level, int option, int value) {
  // What a platform does not have it does without.
  setsockopt(socket, level, option, &value, sizeof(value));
}

/// Makes a connection fail once the machine at its other end is gone.
void watch(int socket) {
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, asked_every_seconds);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, times_asked);
#ifdef __APPLE__
  set_option(socket, IPPROTO_TCP, TCP_KEEPALIVE, silence_seconds);
  set_option(socket, IPPROTO_TCP, TCP_RXT_CONNDROPTIME, seconds_until_gone);
#else
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, silence_seconds);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds_until_gone * 1000);
#endif
}

ssize_t read_some(int socket, std::vector<char>& buffer) {
  ssize_t count = 0;
  do {
    count = recv(socket, buffer.data(), buffer.size(), 0);
  } while (count < 0 && errno == EINTR);
  return count;
}

bool write_all(int socket, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t count = send(socket, data, size, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    data += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

/// From MLX to the peer; nowhere once that is lost.
void pass_on(int pipe, int peer) {
  std::vector<char> buffer(buffer_bytes);
  for (ssize_t count = 0; (count = read_some(pipe, buffer)) > 0;) {
    if (!lost && !write_all(peer, buffer.data(), static_cast<size_t>(count))) end_connections();
  }
}

/// From the peer to MLX; zeros once that is lost.
void hand_in(int peer, int pipe) {
  std::vector<char> buffer(buffer_bytes);
  ssize_t count = 0;
  do {
    count = lost ? 0 : read_some(peer, buffer);
    if (count > 0) continue;
    end_connections();
    std::ranges::fill(buffer, 0);
    count = buffer_bytes;
  } while (write_all(pipe, buffer.data(), static_cast<size_t>(count)));
}

/// Puts a pipe in the place of a connection, under the number by which MLX knows it.
void relay(int socket) {
  const int peer = fcntl(socket, F_DUPFD_CLOEXEC, 0);
  int pipe[2];
  if (peer < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pipe) != 0) {
    throw EngineError("peer_lost", "there are too many open files");
  }
  const auto [mlx_end, own_end] = pipe;
  fcntl(own_end, F_SETFD, FD_CLOEXEC);
  for (const int end : pipe) {
    set_option(end, SOL_SOCKET, SO_SNDBUF, buffer_bytes);
    set_option(end, SOL_SOCKET, SO_RCVBUF, buffer_bytes);
  }
  // MLX never waits at its sockets; the threads here do.
  const int flags = fcntl(socket, F_GETFL);
  fcntl(mlx_end, F_SETFL, flags);
  fcntl(peer, F_SETFL, flags & ~O_NONBLOCK);
  dup2(mlx_end, socket);
  close(mlx_end);

  watch(peer);
  connections().sockets.push_back(peer);
  std::thread(pass_on, own_end, peer).detach();
  std::thread(hand_in, peer, own_end).detach();
}

}  // namespace

void relay_connections(const std::vector<int>& ports, const std::vector<int>& next_ports) {
  const std::lock_guard lock(connections().mutex);
  const std::vector<int> found = find_connections(ports, next_ports);
  if (found.size() != ports.size() + next_ports.size()) {
    throw EngineError("peer_lost", "MLX's connections to the other processes were not found");
  }
  for (const int socket : found) relay(socket);
}

void end_connections() {
  const std::lock_guard lock(connections().mutex);
  if (connections().sockets.empty()) return;
  lost = true;
  for (const int socket : connections().sockets) shutdown(socket, SHUT_RDWR);
}

bool is_connection_lost() { return lost; }

}  // namespace mx
