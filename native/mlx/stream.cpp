#include "mlx/stream.h"

#include "mlx/compiled.h"
#include "mlx/error.h"

namespace mx {
namespace {

thread_local bool stream_on_gpu = false;
thread_local bool stream_on_metal = false;

}  // namespace

bool on_gpu() { return stream_on_gpu; }

bool on_metal() { return stream_on_metal; }

void open_thread_stream() {
  if (current_stream.ctx) return;
  mlx_device device = mlx_device_new();
  check(mlx_get_default_device(&device));
  mlx_device_type type = MLX_CPU;
  check(mlx_device_get_type(&type, device));
  stream_on_gpu = type == MLX_GPU;
  bool metal_is_available = false;
  check(mlx_metal_is_available(&metal_is_available));
  stream_on_metal = stream_on_gpu && metal_is_available;
  current_stream = mlx_stream_new_device(device);
  mlx_device_free(device);
  if (!current_stream.ctx) throw_last_error();
  check(mlx_set_default_stream(current_stream));
}

// MLX 0.32 keeps the CPU thread of a stream until the process ends: a worker costs one for good.
void close_thread_stream() {
  if (!current_stream.ctx) return;
  mlx_synchronize(current_stream);
  detail::forget_compiled();
  mlx_stream_free(current_stream);
  current_stream = mlx_stream{nullptr};
}

void synchronize() { check(mlx_synchronize(current_stream)); }

}  // namespace mx
