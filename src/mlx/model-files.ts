import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ModelLoadError } from "../errors.js";
import type { ModelInfo } from "../types.js";
import { capabilitiesOf, seesImages } from "./model-capabilities.js";
import { isGgufFile, readGgufHeader } from "./gguf.js";
import { loadedBytes, mainType, weightsOfGguf } from "./gguf-weights.js";
import { isObject, type Json, readJsonObject } from "./json-file.js";
import { DEMO, type ModelSearch } from "./model-names.js";
import { ggufFilesIn, listModelFolders } from "./model-places.js";
import { type Purpose, purposeOf } from "./model-purpose.js";
import { readModelJson } from "./model-texts.js";
import type { NativeGguf } from "./native-types.js";
import { readSafetensorsHeader } from "./safetensors.js";
import { NO_SENTENCE_FILES, readSentenceFiles, type SentenceFiles } from "./sentence-files.js";

export { findAdapter, findModel } from "./model-places.js";

/** What a model's folder or GGUF file holds; the weights themselves are not read. */
export interface ModelFiles {
  id: string;
  /** The folder, or the GGUF file. */
  folder: string;
  config: Json;
  /** Empty when the folder has no generation_config.json. */
  generationConfig: Json;
  /** Safetensors files with valid headers, in order of name; or the GGUF file. */
  weightFiles: string[];
  /** What is in the GGUF file, if it is one. */
  gguf?: NativeGguf;
  /** Bytes of all tensors, once they are loaded. */
  weightBytes: number;
  /** The type that most of the weights' bytes have, as the format of the file names it. */
  dtype: string;
  /** Tokens that prompt and reply may have together, if the model says. */
  contextLength?: number;
  /** Whether it reads images. */
  sees: boolean;
  /** Tokens that end a reply; generation_config.json overrides config.json. */
  eosTokenIds: number[];
  purpose: Purpose;
  /** What sentence-transformers is told about it. */
  sentence: SentenceFiles;
}

/** The names under which checkpoints give their context length, most telling first. */
const CONTEXT_KEYS = [
  "max_position_embeddings",
  "n_positions",
  "max_sequence_length",
  "max_seq_len",
  "seq_length",
  "n_ctx",
];

const DOWNLOAD_AGAIN = "The download may be incomplete: download the model again.";

/**
 * Reads and checks the files of a model's folder: config.json, generation_config.json and the
 * headers of all weights; or the header of a GGUF file, which holds the same.
 *
 * @example
 * const files = await readModelFiles(await findModel("demo"));
 * files.config.model_type; // "llama"
 */
export async function readModelFiles(folder: string): Promise<ModelFiles> {
  const config = await readConfig(folder);
  const generationConfig =
    (await readModelJson(folder, "generation_config.json", "bad_config")) ?? {};
  const { names, ...weights } = await (isGgufFile(folder)
    ? readGgufWeights(folder)
    : readWeights(folder));
  const id = modelId(folder);
  const sentence = isGgufFile(folder) ? NO_SENTENCE_FILES : await readSentenceFiles(folder);
  return {
    id,
    folder,
    config,
    generationConfig,
    sentence,
    purpose: purposeOf(id, config, sentence),
    ...weights,
    sees: seesImages(config, names),
    contextLength: readContextLength(config),
    eosTokenIds: readEosTokenIds(generationConfig) ?? readEosTokenIds(config) ?? [],
  };
}

/**
 * Lists the models on this machine, in the places where `findModel` looks. A broken model is
 * listed too, with what is wrong with it as its description.
 */
export async function listLocalModels(search: ModelSearch = {}): Promise<ModelInfo[]> {
  const models: ModelInfo[] = [];
  for (const { id, folder } of await listModelFolders(search)) {
    models.push(await describeModel(id, folder));
  }
  return models;
}

/** What a list tells of the model in a folder. */
export async function describeModel(id: string, folder: string): Promise<ModelInfo> {
  const dated = isGgufFile(folder) ? folder : join(folder, "config.json");
  const changed = await stat(dated).catch(() => undefined);
  const info = {
    id,
    provider: "mlx" as const,
    object: "model" as const,
    created: changed ? Math.floor(changed.mtimeMs / 1000) : undefined,
    ownedBy: id === DEMO ? "mlx-llm-client" : ownerOf(id),
    path: folder,
  };
  try {
    const files = await readModelFiles(folder);
    return {
      ...info,
      contextLength: files.contextLength,
      description: id === DEMO ? "The small model that comes with the package" : undefined,
      size: files.weightBytes,
      quantization: quantizationOf(files),
      family: String(files.config.model_type),
      capabilities: await capabilitiesOf(files),
    };
  } catch (error) {
    return { ...info, description: `Broken: ${(error as Error).message}`, usable: false };
  }
}

function ownerOf(id: string): string {
  return /^[^/\\]+\/[^/\\]+$/.test(id) ? dirname(id) : "local";
}

function quantizationOf({ config, dtype, folder }: ModelFiles): string {
  if (isGgufFile(folder)) return dtype;
  const quantization = config.quantization ?? config.quantization_config;
  if (isObject(quantization)) {
    if (typeof quantization.mode === "string" && quantization.mode !== "affine") {
      return quantization.mode;
    }
    if (typeof quantization.bits === "number") return `${quantization.bits}-bit`;
  }
  return dtype.toLowerCase();
}

async function readConfig(folder: string): Promise<Json> {
  const file = join(folder, "config.json");
  const config = await readModelJson(folder, "config.json", "bad_config");
  if (!config) {
    const present = await readdir(folder).catch(() => []);
    throw (
      severalGgufFiles(folder, present) ??
      new ModelLoadError(`${folder} has no config.json, so it is not a model.`, {
        code: "bad_config",
        hint: "Give the folder of a model in MLX format: config.json, tokenizer.json, *.safetensors.",
      })
    );
  }
  if (typeof config.model_type !== "string" || config.model_type === "") {
    throw badConfig(file, 'does not name its architecture: "model_type" is missing');
  }
  return config;
}

/** As mlx-lm finds them, by name; an index adds that none may be missing. */
async function findWeightFiles(folder: string): Promise<string[]> {
  const present = await readdir(folder).catch((error: unknown) => {
    throw badConfig(folder, "cannot be listed", error);
  });
  const wanted = new Set(present.filter((name) => /^model.*\.safetensors$/.test(name)));
  for (const shard of await indexedShards(folder)) wanted.add(shard);
  if (wanted.size === 0) throw noWeights(folder, present);
  for (const name of wanted) {
    // A link into the Hugging Face cache's blobs dangles while its download is unfinished.
    const stats = await stat(join(folder, name)).catch(() => undefined);
    if (!stats) throw badWeights(`${join(folder, name)} is missing.`, DOWNLOAD_AGAIN);
  }
  return [...wanted].sort().map((name) => join(folder, name));
}

/** The files that model.safetensors.index.json names. */
async function indexedShards(folder: string): Promise<Set<string>> {
  const file = join(folder, "model.safetensors.index.json");
  const index = await readJsonObject(file, "bad_config");
  if (!index) return new Set();
  if (!isObject(index.weight_map)) throw badConfig(file, 'has no "weight_map" object');
  const shards = new Set<string>();
  for (const [tensor, shard] of Object.entries(index.weight_map)) {
    if (typeof shard !== "string" || !/^[^/\\]+\.safetensors$/.test(shard)) {
      throw badConfig(
        file,
        `puts tensor "${tensor}" in ${JSON.stringify(shard)}, which is not a safetensors file of its folder`,
      );
    }
    shards.add(shard);
  }
  return shards;
}

function noWeights(folder: string, present: string[]): ModelLoadError {
  const several = severalGgufFiles(folder, present);
  if (several) return several;
  const others = present.filter((name) => /\.(?:gguf|bin|pth?|npz|safetensors)$/.test(name));
  if (others.length === 0) {
    return badWeights(`${folder} has no weights (model*.safetensors).`, DOWNLOAD_AGAIN);
  }
  return badWeights(
    `${folder} has no weights in MLX format (model*.safetensors), only ${others.join(", ")}.`,
    "Convert the model with mlx_lm.convert, or choose one that is already in MLX format.",
  );
}

/** Only a folder with one GGUF file is the same as that file. */
function severalGgufFiles(folder: string, present: string[]): ModelLoadError | undefined {
  const files = ggufFilesIn(present);
  if (files.length < 2) return undefined;
  return badWeights(
    `${folder} has several GGUF files: ${files.join(", ")}.`,
    `Choose one by its path, ${join(folder, files[0]!)} for one.`,
  );
}

interface FoundWeights extends Pick<ModelFiles, "weightFiles" | "gguf" | "weightBytes" | "dtype"> {
  /** Of tensors. */
  names: ReadonlySet<string>;
}

async function readGgufWeights(file: string): Promise<FoundWeights> {
  const header = await readGgufHeader(file);
  if (header.tensors.size === 0) throw badWeights(`${file} holds no tensor.`, DOWNLOAD_AGAIN);
  return {
    weightFiles: [file],
    gguf: weightsOfGguf(header),
    weightBytes: loadedBytes(header),
    dtype: mainType(header),
    names: new Set(header.tensors.keys()),
  };
}

async function readWeights(folder: string): Promise<FoundWeights> {
  const files = await findWeightFiles(folder);
  const owners = new Map<string, string>();
  const bytesByType = new Map<string, number>();
  let weightBytes = 0;
  for (const file of files) {
    const { tensors, dataBytes } = await readSafetensorsHeader(file);
    weightBytes += dataBytes;
    for (const [name, { dtype, begin, end }] of tensors) {
      const owner = owners.get(name);
      if (owner) {
        throw badWeights(
          `Tensor "${name}" is in both ${owner} and ${file}.`,
          "Two downloads may have been mixed: remove the files of one.",
        );
      }
      owners.set(name, file);
      bytesByType.set(dtype, (bytesByType.get(dtype) ?? 0) + end - begin);
    }
  }
  if (owners.size === 0) throw badWeights(`${files.join(", ")} holds no tensor.`, DOWNLOAD_AGAIN);
  const [dtype] = [...bytesByType].sort(([, a], [, b]) => b - a)[0]!;
  return { weightFiles: files, weightBytes, dtype, names: new Set(owners.keys()) };
}

function readContextLength(config: Json): number | undefined {
  const text = isObject(config.text_config) ? config.text_config : {};
  const values = CONTEXT_KEYS.flatMap((key) => [config[key], text[key]]);
  return values.find((value): value is number => Number.isSafeInteger(value) && Number(value) > 0);
}

function readEosTokenIds(config: Json): number[] | undefined {
  const text = isObject(config.text_config) ? config.text_config : {};
  const value = config.eos_token_id ?? text.eos_token_id;
  const ids = Array.isArray(value) ? value : [value];
  const valid = ids.filter((id): id is number => Number.isSafeInteger(id) && id >= 0);
  return valid.length > 0 ? valid : undefined;
}

/** `org/name` of what is in the Hugging Face cache, else the folder's or the file's own name. */
function modelId(folder: string): string {
  const place = isGgufFile(folder) ? dirname(folder) : folder;
  const hub = /[/\\]models--([^/\\]+)[/\\]snapshots[/\\][^/\\]+[/\\]?$/.exec(place);
  return hub ? hub[1]!.replaceAll("--", "/") : basename(resolve(folder)).replace(/\.gguf$/i, "");
}

function badConfig(file: string, reason: string, cause?: unknown): ModelLoadError {
  const hint = "Repair the file or download it again.";
  return new ModelLoadError(`${file} ${reason}.`, { code: "bad_config", hint, cause });
}

function badWeights(message: string, hint: string): ModelLoadError {
  return new ModelLoadError(message, { code: "bad_weights", hint });
}
