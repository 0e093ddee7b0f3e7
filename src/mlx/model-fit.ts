import { checkModelType, conversionOf, engineConfig } from "./model.js";
import type { Quantize } from "../quantize.js";
import type { ModelFit } from "../types.js";
import { cacheBytes, tokensWithin } from "./footprint.js";
import { findModel, readModelFiles } from "./model-files.js";
import { memoryLimit } from "./model-memory.js";
import type { ModelSearch } from "./model-names.js";
import { loadError } from "./native-errors.js";
import type { NativeAddon, NativeFootprint } from "./native-types.js";

/** What is asked about the memory of a model. */
export interface FitOptions {
  /** How its dense weights would be quantized while they are loaded. */
  quantize?: Quantize;
  /** Tokens of prompt and reply together; a short text unless told. */
  context?: number;
}

/** Tells whether the model of a name or folder fits into memory; reads no weights. */
export async function fitLocalModel(
  model: string,
  addon: NativeAddon,
  { quantize, context }: FitOptions = {},
  search: ModelSearch = {},
): Promise<ModelFit> {
  const files = await readModelFiles(await findModel(model, search));
  checkModelType(files, addon.modelTypes());
  const { weightFiles, gguf, contextLength, folder } = files;
  const conversion = conversionOf(files, quantize);
  const footprint = await addon
    .measure(engineConfig(files), gguf ?? weightFiles, conversion)
    .catch((error: unknown) => {
      throw loadError(error, folder);
    });
  const limit = memoryLimit(addon);
  const longestContext = longest(footprint, limit, contextLength);
  const tokens = context ?? Math.min(footprint.growth, contextLength ?? Infinity);
  return {
    id: files.id,
    path: folder,
    fits: tokens <= (longestContext ?? Infinity),
    ...partsOf(footprint),
    context: tokens,
    cacheBytes: cacheBytes(footprint, tokens),
    memoryLimit: limit,
    contextLength,
    longestContext,
  };
}

function longest(
  footprint: NativeFootprint,
  limit: number,
  contextLength: number | undefined,
): number | undefined {
  const room = limit - footprint.weightBytes;
  const tokens = room < cacheBytes(footprint, 1) ? 0 : tokensWithin(footprint, room);
  const bounds = [tokens, contextLength].filter((bound) => bound !== undefined);
  return bounds.length === 0 ? undefined : Math.min(...bounds);
}

function partsOf({ weightBytes, layers }: NativeFootprint) {
  const parts = {
    weightBytes,
    cacheBytesPer1000Tokens: 0,
    windowBytes: 0,
    stateBytes: 0,
  };
  for (const { fixedBytes, bytesPerToken, mostTokens } of layers) {
    parts.stateBytes += fixedBytes;
    if (mostTokens === undefined) parts.cacheBytesPer1000Tokens += bytesPerToken * 1000;
    else parts.windowBytes += bytesPerToken * mostTokens;
  }
  return parts;
}
