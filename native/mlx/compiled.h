#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "mlx/array.h"
#include "mlx/stream.h"

namespace mx {

namespace detail {

using SpanFunction = array (*)(std::span<const array>);

/// Such a function through MLX's compiler, which makes one kernel of ops that go element by
/// element. Each thread compiles it once, for all shapes.
array apply_compiled(SpanFunction function, std::span<const array> inputs);
/// Forgets what this thread has compiled.
void forget_compiled();

template <auto function, size_t... places>
array spread(std::span<const array> inputs, std::index_sequence<places...>) {
  return function(inputs[places]...);
}

}  // namespace detail

/// What a function makes of arrays element by element, by a kernel of its own.
template <auto function, typename... Arrays>
array compiled(const Arrays&... arrays) {
  const std::array<array, sizeof...(arrays)> inputs{arrays...};
  const detail::SpanFunction spread = [](std::span<const array> all) {
    return detail::spread<function>(all, std::index_sequence_for<Arrays...>());
  };
  return detail::apply_compiled(spread, inputs);
}

/// The same where that is faster: on a GPU. On a CPU MLX would start a C++ compiler first, if the
/// machine has one.
template <auto function, typename... Arrays>
array fused(const Arrays&... arrays) {
  return on_gpu() ? compiled<function>(arrays...) : function(arrays...);
}

}  // namespace mx
