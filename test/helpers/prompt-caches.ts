import { join } from "node:path";
import type { NativeSampling } from "../../src/mlx/native-types.js";
import { modelsFolder, readJson } from "./model-fixtures.js";

/** A prompt-cache file of mlx-lm's, and how mlx-lm goes on from it. */
export interface PromptCacheCase {
  name: string;
  model: string;
  /** Tokens that the file holds, those behind them, and the reply. */
  before: number[];
  prompt: number[];
  greedy: number[];
  kv_bits?: number;
  quantized_kv_start?: number;
  max_kv_size?: number;
}

const folder = join(modelsFolder, "../prompt-caches");

/** Written by scripts/make-prompt-cache-fixtures.py. */
export const promptCaches = readJson<{ cases: PromptCacheCase[] }>(folder, "cases.json").cases;

/** The file of a case. */
export function promptCacheFile(name: string): string {
  return join(folder, `${name}.safetensors`);
}

/** How the text of a case was kept. */
export function packingOf(one: PromptCacheCase): Partial<NativeSampling> {
  const { kv_bits: kvBits, quantized_kv_start: quantizedKvStart } = one;
  const packed = { kvBits, kvGroupSize: 32, quantizedKvStart };
  return { maxKvSize: one.max_kv_size, ...(kvBits === undefined ? {} : packed) };
}
