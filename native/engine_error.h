#pragma once

#include <stdexcept>
#include <string>

/// A failure that reaches JavaScript as an `Error` with this `code` (see src/mlx/native-types.ts).
class EngineError : public std::runtime_error {
 public:
  EngineError(std::string code, const std::string& message)
      : std::runtime_error(message), code_(std::move(code)) {}

  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

/// The exception being handled.
inline EngineError current_engine_error() {
  try {
    throw;
  } catch (const EngineError& error) {
    return error;
  } catch (const std::exception& error) {
    return EngineError("mlx_error", error.what());
  }
}
