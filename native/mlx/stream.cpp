#include "mlx/stream.h"

#include "mlx/error.h"

namespace mx {

void open_thread_stream() {
  if (current_stream.ctx) return;
  mlx_device device = mlx_device_new();
  check(mlx_get_default_device(&device));
  current_stream = mlx_stream_new_device(device);
  mlx_device_free(device);
  if (!current_stream.ctx) throw_last_error();
  check(mlx_set_default_stream(current_stream));
}

void close_thread_stream() {
  if (!current_stream.ctx) return;
  mlx_synchronize(current_stream);
  mlx_stream_free(current_stream);
  current_stream = mlx_stream{nullptr};
}

void synchronize() { check(mlx_synchronize(current_stream)); }

}  // namespace mx
