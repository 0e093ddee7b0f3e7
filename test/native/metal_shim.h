#pragma once

#include <array>
#include <barrier>
#include <thread>
#include <vector>

/// What the kernels of native/nn/*.metal ask of Metal, so that a C++ compiler takes their bodies
/// and the CPU runs them, where no Mac is at hand.
#define METAL_KERNEL(...) __VA_ARGS__

struct uint3 {
  unsigned x, y, z;
};

inline thread_local uint3 thread_position_in_grid;
inline thread_local unsigned thread_index_in_simdgroup;

namespace shim {

constexpr unsigned simd_width = 32;
inline std::barrier<> all_lanes(simd_width);
inline std::array<float, simd_width> values;

/// Runs `body` for every thread of a grid whose SIMD groups are its rows: a thread of the CPU for
/// each of their lanes, one group after the other.
template <typename Body>
void run(uint3 grid, Body body) {
  std::vector<std::thread> lanes;
  for (unsigned lane = 0; lane < simd_width; lane++) {
    lanes.emplace_back([=] {
      thread_index_in_simdgroup = lane;
      for (unsigned z = 0; z < grid.z; z++) {
        for (unsigned y = 0; y < grid.y; y++) {
          thread_position_in_grid = {lane, y, z};
          body();
        }
      }
    });
  }
  for (std::thread& lane : lanes) lane.join();
}

}  // namespace shim

/// The value that the lane with this bit turned over passes.
inline float simd_shuffle_xor(float value, int bit) {
  shim::values[thread_index_in_simdgroup] = value;
  shim::all_lanes.arrive_and_wait();
  const float other = shim::values[thread_index_in_simdgroup ^ bit];
  shim::all_lanes.arrive_and_wait();
  return other;
}
