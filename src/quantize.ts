/**
 * The ways to quantize dense weights: affine with so many bits, one of the 4- and 8-bit
 * floating-point formats, or one of mlx-lm's recipes with more bits where they matter most.
 */
export const QUANTIZE = [
  2,
  3,
  4,
  5,
  6,
  8,
  "mxfp4",
  "mxfp8",
  "nvfp4",
  "mixed_2_6",
  "mixed_3_4",
  "mixed_3_6",
  "mixed_4_6",
] as const;

/** One of the ways to quantize. */
export type Quantize = (typeof QUANTIZE)[number];

/** Number types that weights can be cast to. */
export const WEIGHT_TYPES = ["float16", "bfloat16", "float32"] as const;

/** One of the number types of weights. */
export type WeightType = (typeof WEIGHT_TYPES)[number];
