import { GenerationError } from "../errors.js";
import type { MlxOptions } from "../types.js";
import { cacheBytes } from "./footprint.js";
import { gigabytes } from "./model-memory.js";
import type { LoadedModel } from "./model.js";
import type { NativeSampling } from "./native-types.js";

/** As mlx-lm: shorter texts gain little by quantized keys and values. */
const QUANTIZED_KV_START = 5000;
const KV_GROUP_SIZE = 64;
/** Chunks of a prompt; larger ones are hardly faster. */
const CHUNKS = [2048, 1024, 512, 256, 128];
/** Widths of heads for which Metal computes attention without writing all scores down. */
const FUSED_HEADS = [64, 80, 128];
const FLOAT_BYTES = 4;

/** What a request may take of the memory. */
export type Admission = Pick<
  NativeSampling,
  | "kvBits"
  | "kvGroupSize"
  | "quantizedKvStart"
  | "maxKvSize"
  | "cacheBytes"
  | "memoryLimit"
  | "prefillStepSize"
>;

/** The parts of a loaded model that tell what a request takes. */
export type Room = Pick<LoadedModel, "footprint" | "memoryLimit" | "files">;

/**
 * How a prompt of so many tokens is kept in memory and read. Throws a `GenerationError` where
 * its cache would never fit beside the weights.
 */
export function admit(model: Room, tokens: number, options: MlxOptions = {}): Admission {
  const { footprint, memoryLimit } = model;
  const kept = Math.min(tokens, options.maxKvSize ?? Infinity);
  const bytes = cacheBytes(footprint, kept + footprint.growth) * shareKept(kept, options);
  const free = memoryLimit - footprint.weightBytes - bytes;
  if (free < 0) throw tooLarge(tokens, bytes, memoryLimit - footprint.weightBytes);
  const { kvBits, maxKvSize } = options;
  return {
    ...(kvBits !== undefined && {
      kvBits,
      kvGroupSize: options.kvGroupSize ?? KV_GROUP_SIZE,
      quantizedKvStart: options.quantizedKvStart ?? QUANTIZED_KV_START,
    }),
    maxKvSize,
    cacheBytes: Math.ceil(bytes),
    memoryLimit,
    prefillStepSize: options.prefillStepSize ?? chunkFor(model, tokens, free),
  };
}

/** What quantizing leaves of the bytes of keys and values, at 16 bits each. */
function shareKept(tokens: number, { kvBits, kvGroupSize, quantizedKvStart }: MlxOptions): number {
  if (kvBits === undefined || tokens < (quantizedKvStart ?? QUANTIZED_KV_START)) return 1;
  // A scale and a bias for each group.
  return (kvBits + 32 / (kvGroupSize ?? KV_GROUP_SIZE)) / 16;
}

/** The longest chunk whose passing numbers take no more than half of what is free. */
function chunkFor({ files: { config } }: Room, tokens: number, free: number): number {
  const text = (config.text_config ?? config) as Record<string, unknown>;
  const size = (name: string) => (typeof text[name] === "number" ? text[name] : 0);
  const heads = size("num_attention_heads");
  const width = size("head_dim") || size("hidden_size") / (heads || 1);
  const scores = FUSED_HEADS.includes(width) ? 0 : heads * tokens;
  const perToken = FLOAT_BYTES * (scores + 8 * size("hidden_size") + 3 * size("intermediate_size"));
  return CHUNKS.find((chunk) => chunk * perToken <= free / 2) ?? CHUNKS.at(-1)!;
}

function tooLarge(tokens: number, bytes: number, room: number): GenerationError {
  return new GenerationError(
    `The prompt has ${tokens} tokens, whose keys and values take ${gigabytes(bytes)}, but beside the weights there is room for ${gigabytes(room)} only.`,
    {
      code: "cache_too_large",
      hint: "Shorten the prompt, or set kvBits or maxKvSize in providerOptions.mlx.",
    },
  );
}
