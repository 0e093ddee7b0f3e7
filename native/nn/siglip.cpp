#include "nn/siglip.h"

#include <cmath>
#include <tuple>

#include "nn/activations.h"
#include "nn/attention.h"

using mx::array;

namespace {

/// The convolution that cuts an image into patches, as the matrix of one patch: it strides as far
/// as it reaches. MLX has channels last, their publisher first.
array take_patch_embedding(
    const SiglipTower::Args& args, Weights& weights, const std::string& path) {
  const auto [d, c, p] = std::tuple(args.hidden_size, args.num_channels, args.patch_size);
  const std::string name = path + ".weight";
  array weight = weights.extract(name);
  if (weight && c != p && weight.shape() == mx::Shape{d, c, p, p}) {
    weight = mx::transpose(weight, {0, 2, 3, 1});
  }
  if (weight) weights.put(name, weight);
  weight = weights.take(name, {d, p, p, c});
  return weight ? mx::reshape(weight, {d, p * p * c}) : weight;
}

}  // namespace

SiglipTower::Args::Args(const Config& config)
    : hidden_size(config.positive("hidden_size", 768)),
      num_hidden_layers(config.positive("num_hidden_layers", 12)),
      intermediate_size(config.positive("intermediate_size", 3072)),
      num_attention_heads(config.positive("num_attention_heads", 12)),
      num_channels(config.positive("num_channels", 3)),
      image_size(config.positive("image_size", 224)),
      patch_size(config.positive("patch_size", 16)),
      layer_norm_eps(config.positive_number("layer_norm_eps", 1e-6f)) {
  if (hidden_size % num_attention_heads != 0) {
    refuse_config("\"num_attention_heads\" of vision_config must divide \"hidden_size\"");
  }
  if (num_channels != 3 || image_size % patch_size != 0) {
    refuse_config("vision_config needs 3 \"num_channels\" and whole patches in \"image_size\"");
  }
}

SiglipTower::Layer::Layer(const Args& args, Weights& weights, const std::string& path)
    : n_heads(args.num_attention_heads),
      scale(1.0f / std::sqrt(static_cast<float>(args.hidden_size) / static_cast<float>(n_heads))),
      q_proj(weights, path + ".self_attn.q_proj", args.hidden_size, args.hidden_size, true),
      k_proj(weights, path + ".self_attn.k_proj", args.hidden_size, args.hidden_size, true),
      v_proj(weights, path + ".self_attn.v_proj", args.hidden_size, args.hidden_size, true),
      out_proj(weights, path + ".self_attn.out_proj", args.hidden_size, args.hidden_size, true),
      fc1(weights, path + ".mlp.fc1", args.hidden_size, args.intermediate_size, true),
      fc2(weights, path + ".mlp.fc2", args.intermediate_size, args.hidden_size, true),
      layer_norm1(weights, path + ".layer_norm1", args.hidden_size, args.layer_norm_eps),
      layer_norm2(weights, path + ".layer_norm2", args.hidden_size, args.layer_norm_eps) {}

array SiglipTower::Layer::operator()(const array& x) const {
  const array h = x + attend(layer_norm1(x));
  return h + fc2(gelu_approx(fc1(layer_norm2(h))));
}

array SiglipTower::Layer::attend(const array& x) const {
  const array queries = split_heads(q_proj(x), 1, n_heads);
  const array keys = split_heads(k_proj(x), 1, n_heads);
  const array values = split_heads(v_proj(x), 1, n_heads);
  return out_proj(merge_heads(scaled_dot_product_attention(queries, keys, values, scale, Mask{})));
}

SiglipTower::SiglipTower(const Args& args, Weights& weights, const std::string& path)
    : args_(args),
      patch_embedding_(take_patch_embedding(args, weights, path + ".embeddings.patch_embedding")),
      patch_bias_(weights.take(path + ".embeddings.patch_embedding.bias", {args.hidden_size})),
      position_embedding_(
          weights, path + ".embeddings.position_embedding",
          args.patches_per_side() * args.patches_per_side(), args.hidden_size),
      post_layernorm_(weights, path + ".post_layernorm", args.hidden_size, args.layer_norm_eps) {
  for (int i = 0; i < args.num_hidden_layers; i++) {
    layers_.emplace_back(args, weights, path + ".encoder.layers." + std::to_string(i));
  }
}

array SiglipTower::operator()(const array& pixels) const {
  array h = embed(pixels);
  for (const Layer& layer : layers_) h = layer(h);
  return post_layernorm_(h);
}

array SiglipTower::embed(const array& pixels) const {
  const auto [n, p, c] = std::tuple(args_.patches_per_side(), args_.patch_size, args_.num_channels);
  const array x = mx::astype(pixels, patch_embedding_.dtype());
  const array patches = mx::transpose(mx::reshape(x, {n, p, n, p, c}), {0, 2, 1, 3, 4});
  const array rows = mx::reshape(patches, {n * n, p * p * c});
  const array embedded = mx::addmm(patch_bias_, rows, mx::transpose(patch_embedding_, {1, 0}));
  return embedded + position_embedding_(mx::arange(0, n * n));
}
