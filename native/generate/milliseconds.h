#pragma once

#include <chrono>

/// A time as statistics tell it.
inline double milliseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

inline double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return milliseconds(std::chrono::steady_clock::now() - begin);
}
