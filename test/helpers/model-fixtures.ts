import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type {
  NativeAddon,
  NativeLoading,
  NativeModel,
  NativeSampling,
  NativeStats,
} from "../../src/mlx/native-types.js";

/** The folder that scripts/make-tiny-model.py writes to, a folder for each model. */
export const modelsFolder = fileURLToPath(new URL("../fixtures/models", import.meta.url));

/** What mlx-lm computed from a fixture. */
export interface Golden {
  /** Of the checkpoint's dense tensors. */
  dtype: "float32" | "float16" | "bfloat16";
  prompt: Uint32Array;
  greedy: number[];
  /** prompt.length × vocabulary, row by row. */
  logits: Float32Array;
}

/** Where a fixture lies, by its name. */
export function fixtureFolder(name: string): string {
  return join(modelsFolder, name);
}

/** A parsed JSON file. */
export function readJson<T = Record<string, unknown>>(...path: string[]): T {
  return JSON.parse(readFileSync(join(...path), "utf8")) as T;
}

/** The golden of a fixture. */
export function readGolden(name: string): Golden {
  const golden = readJson<{
    dtype: Golden["dtype"];
    prompt: number[];
    greedy: number[];
    logits: string;
  }>(fixtureFolder(name), "golden.json");
  return {
    dtype: golden.dtype,
    prompt: Uint32Array.from(golden.prompt),
    greedy: golden.greedy,
    logits: floatsFromBase64(golden.logits),
  };
}

/** Little-endian float32 values, as the goldens hold them. */
export function floatsFromBase64(text: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  return new Float32Array(bytes.buffer);
}

/** Loads the checkpoint of a folder, with changes to its config.json. */
export async function loadFolder(
  addon: NativeAddon,
  folder: string,
  changes: Record<string, unknown> = {},
): Promise<NativeModel> {
  return startLoading(addon, folder, changes).model;
}

/** Begins to load the checkpoint of a folder, with changes to its config.json. */
export function startLoading(
  addon: NativeAddon,
  folder: string,
  changes: Record<string, unknown> = {},
): NativeLoading {
  return addon.load({ ...readJson(folder, "config.json"), ...changes }, weightFilesOf(folder));
}

/** The weights of a checkpoint, in order. */
export function weightFilesOf(folder: string): string[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".safetensors"));
  return files.sort().map((file) => join(folder, file));
}

/** A whole reply in a session of its own; `onDelivered` hears how many tokens have come. */
export async function generateAll(
  model: NativeModel,
  prompt: Uint32Array,
  sampling: Partial<NativeSampling>,
  onDelivered: (count: number) => void = () => {},
): Promise<{ tokens: number[]; stats: NativeStats }> {
  const session = model.session();
  const tokens: number[] = [];
  const settings = { maxTokens: 16, stopTokens: [], temperature: 0, ...sampling };
  try {
    const stats = await session.generate(prompt, settings, (batch) => {
      tokens.push(...batch.tokens);
      onDelivered(tokens.length);
    });
    return { tokens, stats };
  } finally {
    session.close();
  }
}

/** The largest absolute difference; NaN if the lengths differ or a value is not a number. */
export function largestDifference(first: ArrayLike<number>, second: ArrayLike<number>): number {
  if (first.length !== second.length) return Number.NaN;
  const differences = Array.from(first, (value, index) => Math.abs(value - Number(second[index])));
  return differences.reduce((most, difference) => Math.max(most, difference), 0);
}
