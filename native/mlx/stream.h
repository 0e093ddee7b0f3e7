#pragma once

#include <mlx/c/mlx.h>

namespace mx {

/// The stream that every op of this thread is recorded on. MLX streams belong to their thread.
inline thread_local mlx_stream current_stream{nullptr};

/// Whether this thread's stream is on a GPU.
bool on_gpu();
/// Whether that GPU speaks Metal.
bool on_metal();

/// Opens this thread's stream on the default device, once. Throws where there is no device.
void open_thread_stream();
/// Waits for the work of this thread's stream and closes it.
void close_thread_stream();

/// Waits until all work of this thread's stream is done.
void synchronize();

}  // namespace mx
