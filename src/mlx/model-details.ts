import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readBeginning } from "../regular-file.js";
import type { ModelDetails, ModelFile } from "../types.js";
import { readTemplates } from "./template-sources.js";
import { isGgufFile, readGgufHeader } from "./gguf.js";
import { parametersOf } from "./gguf-weights.js";
import { isObject, type Json } from "./json-file.js";
import { describeModel, readModelFiles } from "./model-files.js";
import { readSafetensorsHeader, type TensorEntry } from "./safetensors.js";

const LONGEST_FRONT_MATTER = 64 * 1024;

/** Everything that can be told of the model in a folder or GGUF file without loading it. */
export async function showLocalModel(id: string, model: string): Promise<ModelDetails> {
  const isFile = isGgufFile(model);
  const folder = isFile ? dirname(model) : model;
  const isSnapshot = basename(dirname(folder)) === "snapshots";
  // What lies beside a GGUF file is no part of the model, unless it was downloaded with it.
  const isWhole = !isFile || isSnapshot;
  return {
    ...(await describeModel(id, model)),
    parameters: await countParameters(model).catch(() => undefined),
    files: await listFiles(folder, isWhole ? await readdir(folder) : [basename(model)]),
    hasTemplate: (await readTemplates(model).catch(() => [])).length > 0,
    license: isWhole ? await licenseOf(folder) : undefined,
    revision: isSnapshot ? basename(folder) : undefined,
  };
}

async function listFiles(folder: string, names: string[]): Promise<ModelFile[]> {
  const files = names.sort().map(async (name) => {
    const stats = await stat(join(folder, name)).catch(() => undefined);
    return stats?.isFile() ? [{ name, size: stats.size }] : [];
  });
  return (await Promise.all(files)).flat();
}

/** Numbers in all weights; undefined where it is not known how they are packed. */
async function countParameters(folder: string): Promise<number | undefined> {
  if (isGgufFile(folder)) return parametersOf(await readGgufHeader(folder));
  const { config, weightFiles } = await readModelFiles(folder);
  if (isObject(config.quantization_config) && config.quantization_config.quant_method) {
    return undefined;
  }
  const headers = await Promise.all(weightFiles.map(readSafetensorsHeader));
  const tensors = new Map(headers.flatMap((header) => [...header.tensors]));
  let count = 0;
  for (const [name, entry] of tensors) count += numbersIn(name, entry, tensors, config);
  return Number.isFinite(count) ? count : undefined;
}

/** MLX packs quantized numbers into words of 32 bits and keeps their scales beside them. */
function numbersIn(
  name: string,
  { shape, dtype }: TensorEntry,
  tensors: Map<string, TensorEntry>,
  config: Json,
): number {
  const [, layer = "", part] = /^(.*)\.(weight|scales|biases)$/.exec(name) ?? [];
  const isPacked =
    tensors.get(`${layer}.weight`)?.dtype === "U32" && tensors.has(`${layer}.scales`);
  const length = shape.reduce((product, size) => product * size, 1);
  if (!isPacked || part === undefined) return length;
  return part === "weight" && dtype === "U32" ? (length * 32) / bitsOf(layer, config) : 0;
}

function bitsOf(layer: string, config: Json): number {
  const all = isObject(config.quantization) ? config.quantization : {};
  const own = all[layer];
  return Number((isObject(own) ? own.bits : undefined) ?? all.bits);
}

/** The licence that the front matter of the README names. */
async function licenseOf(folder: string): Promise<string | undefined> {
  const readme = join(folder, "README.md");
  const text = await readBeginning(readme, LONGEST_FRONT_MATTER).catch(() => "");
  const [opening, ...lines] = text.split(/\r?\n/);
  const front = opening === "---" ? lines.slice(0, Math.max(lines.indexOf("---"), 0)) : [];
  // Not by one pattern: in a long line of spaces that would take seconds.
  const entryOf = (key: string) => {
    const line = front.find((each) => each.startsWith(`${key}:`)) ?? "";
    return line
      .slice(key.length + 1)
      .trim()
      .replace(/^["']|["']$/g, "");
  };
  const license = entryOf("license");
  return (license === "other" ? entryOf("license_name") : "") || license || undefined;
}
