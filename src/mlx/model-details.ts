import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { ModelDetails, ModelFile } from "../types.js";
import { readTemplates } from "./chat-template.js";
import { isGgufFile, readGgufHeader } from "./gguf.js";
import { parametersOf } from "./gguf-weights.js";
import { isObject, type Json } from "./json-file.js";
import { describeModel, readModelFiles } from "./model-files.js";
import { readSafetensorsHeader, type TensorEntry } from "./safetensors.js";

const LONGEST_FRONT_MATTER = 64 * 1024;

/** Everything that can be told of the model in a folder or GGUF file without loading it. */
export async function showLocalModel(id: string, model: string): Promise<ModelDetails> {
  const folder = isGgufFile(model) ? dirname(model) : model;
  return {
    ...(await describeModel(id, model)),
    parameters: await countParameters(model).catch(() => undefined),
    files: await listFiles(folder),
    hasTemplate: (await readTemplates(model).catch(() => [])).length > 0,
    license: await licenseOf(folder),
    revision: basename(dirname(folder)) === "snapshots" ? basename(folder) : undefined,
  };
}

async function listFiles(folder: string): Promise<ModelFile[]> {
  const names = (await readdir(folder)).sort();
  const files = names.map(async (name) => {
    const stats = await stat(join(folder, name)).catch(() => undefined);
    return stats?.isFile() ? [{ name, size: stats.size }] : [];
  });
  return (await Promise.all(files)).flat();
}

/** Numbers in all weights; undefined where it is not known how they are packed. */
async function countParameters(folder: string): Promise<number | undefined> {
  if (isGgufFile(folder)) return parametersOf(await readGgufHeader(folder));
  const { config, weightFiles } = await readModelFiles(folder);
  if (isObject(config.quantization_config) && config.quantization_config.quant_method)
    return undefined;
  const headers = await Promise.all(weightFiles.map(readSafetensorsHeader));
  const tensors = new Map(headers.flatMap((header) => [...header.tensors]));
  let count = 0;
  for (const [name, entry] of tensors) count += numbersIn(name, entry, tensors, config);
  return count;
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

/** The licence that the front matter of the README names, else the configuration. */
async function licenseOf(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, "README.md"), "utf8").catch(() => "");
  const [, front = ""] = /^---\r?\n(.*?)\n---/s.exec(text.slice(0, LONGEST_FRONT_MATTER)) ?? [];
  const entryOf = (key: string) =>
    new RegExp(`^${key}: *["']?(.*?)["']?\\s*$`, "m").exec(front)?.[1];
  const license = entryOf("license");
  return (license === "other" ? entryOf("license_name") : undefined) || license || undefined;
}
