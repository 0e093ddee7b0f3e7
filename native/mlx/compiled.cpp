#include "mlx/compiled.h"

#include <exception>
#include <map>
#include <vector>

#include "mlx/error.h"
#include "mlx/vector_array.h"

namespace mx::detail {
namespace {

/// A function as mlx-c hands it on.
class Closure {
 public:
  Closure() = default;
  explicit Closure(mlx_closure handle) : handle_(handle) {}
  ~Closure() {
    if (handle_.ctx) mlx_closure_free(handle_);
  }
  Closure(Closure&& other) noexcept : handle_(std::exchange(other.handle_, {nullptr})) {}
  Closure& operator=(Closure&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }

  mlx_closure get() const { return handle_; }
  mlx_closure* out() { return &handle_; }

 private:
  mlx_closure handle_{nullptr};
};

thread_local std::map<SpanFunction, Closure> closures;
// No exception may pass through mlx-c.
thread_local std::exception_ptr failure;

int trace(mlx_vector_array* outputs, mlx_vector_array inputs, void* payload) {
  try {
    const auto function = *static_cast<const SpanFunction*>(payload);
    const array result = function(to_vector(inputs));
    return mlx_vector_array_set_value(outputs, result.get());
  } catch (...) {
    failure = std::current_exception();
    return 1;
  }
}

Closure compile(SpanFunction function) {
  const auto free_payload = [](void* payload) { delete static_cast<SpanFunction*>(payload); };
  const Closure traced(mlx_closure_new_func_payload(
      trace, static_cast<void*>(new SpanFunction(function)), free_payload));
  Closure result;
  check(mlx_compile(result.out(), traced.get(), /* shapeless */ true));
  return result;
}

}  // namespace

array apply_compiled(SpanFunction function, std::span<const array> inputs) {
  auto found = closures.find(function);
  if (found == closures.end()) found = closures.emplace(function, compile(function)).first;
  const VectorArray arguments(inputs);
  VectorArray results;
  const int status = mlx_closure_apply(results.out(), found->second.get(), arguments.get());
  if (status != 0 && failure) std::rethrow_exception(std::exchange(failure, nullptr));
  check(status);
  return results.to_vector().at(0);
}

void forget_compiled() { closures.clear(); }

}  // namespace mx::detail
