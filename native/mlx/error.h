#pragma once

namespace mx {

/// Makes mlx-c keep its error messages for `check`; its own handler would end the process.
/// Call once, before any other mlx-c function.
void install_error_handler();

/// Throws the kept message as an `EngineError` ("out_of_memory" or "mlx_error").
[[noreturn]] void throw_last_error();

/// Turns the return code of an mlx-c call into an exception.
inline void check(int return_code) {
  if (return_code != 0) throw_last_error();
}

}  // namespace mx
