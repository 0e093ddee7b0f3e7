#pragma once

#include <optional>

#include "config.h"
#include "mlx/array.h"

/// How a rotary embedding is stretched to contexts longer than the first training saw. Kinds, by
/// `rope_type` (or `type`) of the checkpoint's `rope_scaling`:
///   default, mrope   not at all (mrope's sections only matter for images)
///   linear           positions divided by `factor`
///   dynamic          a base that grows with the length, "NTK-aware"
///   llama3           long wavelengths stretched, short ones kept
///   yarn             likewise, and attention made sharper: https://arxiv.org/abs/2309.00071
///   longrope         a factor for each wavelength: https://arxiv.org/abs/2402.13753
///   proportional     only the first part of the wavelengths turns (Gemma 4)
struct RopeScaling {
  int dims;
  float base;
  float scale = 1.0f;    // of positions
  float mscale = 1.0f;   // of the numbers that are turned
  mx::array freqs;       // (dims / 2) wavelengths over 2π; empty where the base says it all
  float factor = 1.0f;   // of a dynamic base
  int dynamic_from = 0;  // the length from which a dynamic base grows; 0: it does not

  /// Both lengths are 0 where config.json has none; the original one may also stand in `scaling`.
  /// Throws "bad_config" where that is no object, of an unknown kind, or lacks something.
  RopeScaling(
      int dims, float base, const Config& scaling, int max_position_embeddings,
      int original_max_position_embeddings = 0);

  /// The base for a text of `length` tokens.
  float base_for(int length) const;
};

/// `rope_scaling` of a config, wherever this checkpoint keeps it (transformers 5 nests it, with
/// `rope_theta`, under `rope_parameters`). Without a fallback `rope_theta` is required.
const Config& rope_scaling(const Config& config);
float rope_theta(const Config& config);
float rope_theta(const Config& config, float fallback);

/// How many numbers of each head turn: the part of them that `partial_rotary_factor` says, which is
/// required without a fallback. An odd number, or none, is refused ("bad_config").
int rotary_dims(const Config& config, int head_dim, std::optional<float> fallback = std::nullopt);

/// yarn's factor for the scale of attention: `mscale_all_dim` of `rope_scaling`, squared. 1 where
/// the checkpoint has none.
float yarn_attention_factor(const Config& scaling);
