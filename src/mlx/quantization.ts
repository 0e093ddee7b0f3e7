import type { Quantize } from "../quantize.js";
import { isObject, type Json } from "./json-file.js";
import type { NativeQuantize } from "./native-types.js";

/** Bits and group size of the modes that have one size each. */
const FLOAT_MODES = {
  mxfp4: { bits: 4, group_size: 32 },
  mxfp8: { bits: 8, group_size: 32 },
  nvfp4: { bits: 4, group_size: 16 },
} as const;
/** mlx-lm's group size where none is given. */
const GROUP_SIZE = 64;

/**
 * How a way to quantize is told to the addon.
 * @example
 * toNativeQuantize(4); // { mode: "affine", bits: 4, group_size: 64 }
 */
export function toNativeQuantize(
  quantize: Quantize,
  groupSize: number = GROUP_SIZE,
): NativeQuantize {
  if (typeof quantize === "number") return affine(quantize, groupSize);
  if (quantize in FLOAT_MODES) {
    const mode = quantize as keyof typeof FLOAT_MODES;
    return { mode, ...FLOAT_MODES[mode] };
  }
  const [, low] = quantize.split("_");
  return { ...affine(Number(low), groupSize), recipe: quantize };
}

/** Whether a configuration says that the checkpoint is quantized already. */
export function isQuantized(config: Json): boolean {
  const text = isObject(config.text_config) ? config.text_config : {};
  const settings = [config.quantization, config.quantization_config, text.quantization_config];
  return settings.some(isObject);
}

function affine(bits: number, groupSize: number): NativeQuantize {
  return { mode: "affine", bits, group_size: groupSize };
}
