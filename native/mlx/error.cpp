#include "mlx/error.h"

#include <mlx/c/mlx.h>

#include <mutex>
#include <string>

#include "engine_error.h"

namespace mx {
namespace {

// mlx-c calls the handler on the thread that made the failing call.
thread_local std::string last_message;

void keep_message(const char* message, void*) { last_message = message; }

bool is_out_of_memory(const std::string& message) {
  for (const char* sign : {"[malloc]", "allocate", "Insufficient Memory", "out of memory"}) {
    if (message.find(sign) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

void install_error_handler() {
  // mlx-c does not lock its handler, and another worker may be reading it.
  static std::once_flag installed;
  std::call_once(installed, [] { mlx_set_error_handler(keep_message, nullptr, nullptr); });
}

void throw_last_error() {
  std::string message = std::move(last_message);
  last_message.clear();
  if (message.empty()) message = "MLX failed without a message";
  // mlx-c ends its messages with the place in its own source, which tells a user nothing.
  if (auto place = message.rfind(" at /"); place != std::string::npos) message.resize(place);
  throw EngineError(is_out_of_memory(message) ? "out_of_memory" : "mlx_error", message);
}

}  // namespace mx
