#include "nn/mamba2.h"

#include <cstdint>

#include "nn/activations.h"

using mx::array;

namespace {

/// The arguments, if a mixer can be built from them.
Mamba2Mixer::Args checked(Mamba2Mixer::Args args) {
  if (args.num_heads % args.n_groups != 0) {
    refuse_config(
        "the " + std::to_string(args.num_heads) + " heads of Mamba cannot share " +
        std::to_string(args.n_groups) + " groups evenly");
  }
  if (int64_t{args.num_heads} * args.head_dim > most_width ||
      int64_t{args.n_groups} * args.state_size > most_width) {
    refuse_config("the heads of Mamba are too large");
  }
  return args;
}

}  // namespace

MambaRMSNormGated::MambaRMSNormGated(
    Weights& weights, const std::string& path, int dims, float eps, int groups)
    : weight_(weights.take(path + ".weight", {dims})), eps_(eps), groups_(groups) {}

array MambaRMSNormGated::operator()(const array& x, const array& gate) const {
  const array gated = swiglu(gate, x);
  if (groups_ == 1) return mx::rms_norm(gated, weight_, eps_);
  const array parts = mx::reshape(gated, {gated.dim(0), groups_, -1});
  return weight_ * mx::reshape(mx::rms_norm(parts, array(), eps_), {gated.dim(0), -1});
}

Mamba2Mixer::Mamba2Mixer(const Args& args, Weights& weights, const std::string& path)
    : args_(checked(args)),
      inner_dims_(args.num_heads * args.head_dim),
      group_dims_(args.n_groups * args.state_size),
      conv1d_(
          weights, path + ".conv1d", inner_dims_ + 2 * group_dims_, args.conv_kernel,
          args.conv_bias),
      in_proj_(
          weights, path + ".in_proj", args.hidden_size,
          2 * inner_dims_ + 2 * group_dims_ + args.num_heads, args.proj_bias),
      out_proj_(weights, path + ".out_proj", inner_dims_, args.hidden_size, args.proj_bias),
      ssm_(weights, path, args.num_heads, args.time_step_limit),
      norm_(weights, path + ".norm", inner_dims_, args.norm_eps, args.norm_groups) {}

array Mamba2Mixer::operator()(const array& x, int batch, StateCache& cache) const {
  const array projected = in_proj_(x);
  const int conv_dims = inner_dims_ + 2 * group_dims_;
  const array gate = mx::slice(projected, 1, 0, inner_dims_);
  const array dt = mx::slice(projected, 1, inner_dims_ + conv_dims, projected.dim(1));
  array xBC = mx::slice(projected, 1, inner_dims_, inner_dims_ + conv_dims);
  xBC = silu(conv1d_(mx::reshape(xBC, {batch, -1, conv_dims}), cache[0]));  // (B, L, conv_dims)

  const int length = xBC.dim(1);
  const auto part = [&](int start, int count, int dims) {
    const array slice = mx::slice(xBC, 2, start, start + count * dims);
    return mx::reshape(slice, {batch, length, count, dims});
  };
  const array y = ssm_(
      part(0, args_.num_heads, args_.head_dim), part(inner_dims_, args_.n_groups, args_.state_size),
      part(inner_dims_ + group_dims_, args_.n_groups, args_.state_size),
      mx::reshape(dt, {batch, length, args_.num_heads}), cache[1]);
  return out_proj_(norm_(mx::reshape(y, {batch * length, inner_dims_}), gate));
}
