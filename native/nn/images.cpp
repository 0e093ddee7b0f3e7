#include "nn/images.h"

#include <algorithm>
#include <numeric>
#include <vector>

using mx::array;

array with_images(const array& vectors, std::span<const SeenImage> images) {
  std::vector<array> parts;
  int end = 0;
  for (const SeenImage& image : images) {
    if (image.start > end) parts.push_back(mx::slice(vectors, 0, end, image.start));
    parts.push_back(mx::astype(image.features, vectors.dtype()));
    end = image.stop();
  }
  if (end < vectors.dim(0)) parts.push_back(mx::slice(vectors, 0, end, vectors.dim(0)));
  return mx::concatenate(parts, 0);
}

array later_in_image(int length, std::span<const SeenImage> images) {
  // Text tokens are blocks of their own.
  std::vector<int32_t> blocks(static_cast<size_t>(length));
  std::iota(blocks.begin(), blocks.end(), 0);
  for (const SeenImage& image : images) {
    std::fill(blocks.begin() + image.start, blocks.begin() + image.stop(), image.start);
  }
  const array block = mx::from_data(std::span<const int32_t>(blocks));
  const array places = mx::arange(0, length);
  const auto queries = [](const array& a) { return mx::expand_dims(a, 1); };
  const auto keys = [](const array& a) { return mx::expand_dims(a, 0); };
  return mx::logical_and(
      mx::equal(queries(block), keys(block)), mx::less(queries(places), keys(places)));
}
