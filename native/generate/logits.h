#pragma once

#include <span>
#include <vector>

#include "models/model.h"

/// Logits (L · vocab) of all tokens, some of which may be images, appended to the cache.
std::vector<float> all_logits(
    const Model& model, Cache& cache, const std::vector<uint32_t>& tokens,
    std::span<const SeenImage> images = {});
