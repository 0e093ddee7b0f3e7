// Runs element-wise functions through MLX's compiler, which is otherwise left to GPUs, and compares
// them with the same functions op by op. Prints what differs.

#include "mlx/compiled.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "engine_error.h"
#include "mlx/ops.h"
#include "nn/activations.h"

using mx::array;

namespace {

array numbers(mx::Shape shape, float shift) {
  std::vector<float> values(6);
  for (size_t i = 0; i < values.size(); i++) values[i] = std::sin(static_cast<float>(i) + shift);
  return mx::from_data(std::span<const float>(values), std::move(shape));
}

void compare(const char* name, const array& a, const array& b) {
  const std::vector<float> got = mx::to_floats(a);
  const std::vector<float> wanted = mx::to_floats(b);
  for (size_t i = 0; i < wanted.size(); i++) {
    if (!(std::abs(got.at(i) - wanted[i]) < 1e-6f)) {
      std::printf("%s[%zu]: %g, not %g\n", name, i, got[i], wanted[i]);
    }
  }
}

void compare_functions() {
  // One compilation serves all shapes.
  for (const mx::Shape& shape : {mx::Shape{2, 3}, mx::Shape{6, 1}}) {
    const array x = numbers(shape, 0.1f);
    const array y = numbers(shape, 2.0f);
    const array cap = mx::scalar(0.5f, mx::float32);
    compare("silu", mx::compiled<plain::silu>(x), plain::silu(x));
    compare("geglu", mx::compiled<plain::geglu>(x, y), plain::geglu(x, y));
    compare("swiglu_oai", mx::compiled<plain::swiglu_oai>(x, y), plain::swiglu_oai(x, y));
    compare("softcap", mx::compiled<plain::softcap>(x, cap), plain::softcap(x, cap));
    const array half = mx::astype(x, mx::bfloat16);
    compare(
        "precise_swiglu", mx::compiled<plain::precise_swiglu>(half, y),
        plain::precise_swiglu(half, y));
  }
}

array refuses(const array&) { throw EngineError("invalid_argument", "refused"); }

void expect_error(const char* code, const char* part, array (*call)()) {
  try {
    call();
    std::printf("no error \"%s\"\n", code);
  } catch (const EngineError& error) {
    if (error.code() == code && std::strstr(error.what(), part)) return;
    std::printf("%s: %s\n", std::string(error.code()).c_str(), error.what());
  }
}

void run() {
  mx::open_thread_stream();
  compare_functions();
  expect_error(
      "invalid_argument", "refused", [] { return mx::compiled<refuses>(numbers({6}, 0)); });
  expect_error("mlx_error", "broadcast", [] {
    return mx::compiled<plain::swiglu>(numbers({6}, 0), numbers({3, 2}, 0));
  });
  mx::close_thread_stream();
}

}  // namespace

int main() {
  mx::install_error_handler();
  // Streams and what is compiled belong to threads, of which several begin and end.
  for (int i = 0; i < 2; i++) std::thread(run).join();
}
