import type { NativeFootprint } from "./native-types.js";

/** Positions of tokens are kept in 32 bits. */
const MOST_TOKENS = 2 ** 31 - 1;

/**
 * Bytes that a model's caches take once a text of so many tokens was read.
 * @example cacheBytes(await addon.measure(config, weightFiles), 4096)
 */
export function cacheBytes({ layers, growth }: NativeFootprint, tokens: number): number {
  const room = Math.ceil(tokens / growth) * growth;
  return layers.reduce(
    (sum, { fixedBytes, bytesPerToken, mostTokens = room }) =>
      sum + fixedBytes + bytesPerToken * Math.min(room, mostTokens),
    0,
  );
}

/** The most tokens whose caches take no more than so many bytes; undefined if any number does. */
export function tokensWithin(footprint: NativeFootprint, bytes: number): number | undefined {
  if (cacheBytes(footprint, MOST_TOKENS) <= bytes) return undefined;
  let [fits, exceeds] = [0, Math.ceil(MOST_TOKENS / footprint.growth)];
  while (exceeds - fits > 1) {
    const middle = Math.floor((fits + exceeds) / 2);
    if (cacheBytes(footprint, middle * footprint.growth) <= bytes) fits = middle;
    else exceeds = middle;
  }
  return fits * footprint.growth;
}
