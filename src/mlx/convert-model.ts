import { randomUUID } from "node:crypto";
import { copyFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { abortedBy } from "../abort.js";
import { ConfigurationError, GenerationError, LLMError } from "../errors.js";
import { expandHome } from "../home-folder.js";
import { makeFolder } from "../make-folder.js";
import { type Quantize, WEIGHT_TYPES, type WeightType } from "../quantize.js";
import { isGgufFile } from "./gguf.js";
import { isObject, type Json } from "./json-file.js";
import { checkModelType, checkNotQuantized } from "./model.js";
import { findModel, type ModelFiles, readModelFiles } from "./model-files.js";
import type { ModelSearch } from "./model-names.js";
import { GGUF_TEXTS, readModelJson } from "./model-texts.js";
import { loadError } from "./native-errors.js";
import type {
  NativeAddon,
  NativeConversion,
  NativeConverted,
  NativeQuantize,
} from "./native-types.js";
import { toNativeQuantize } from "./quantization.js";

/** What becomes of a model's weights. */
export interface ConvertOptions {
  /** How dense weights are quantized; they stay dense unless told. */
  quantize?: Quantize;
  /** Weights that share a scale: 32, 64 or 128; 64 unless told, and fixed for floating-point formats. */
  groupSize?: 32 | 64 | 128;
  /** Make quantized weights dense. */
  dequantize?: boolean;
  /** Number type of what is not quantized; the one that config.json names unless told. */
  dtype?: WeightType;
  /** Aborting it ends the work; nothing is left behind. */
  signal?: AbortSignal;
}

/** A model that was written. */
export interface ConvertedModel {
  folder: string;
  /** Bytes of all tensors. */
  bytes: number;
  /** Bits per weight, scales and biases included. */
  bitsPerWeight: number;
}

/** What a folder needs besides its weights and config.json to be a model. */
const COPIED =
  /^(?:tokenizer.*\.json|generation_config\.json|(?:pre)?processor_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.(?:jinja|json)|tokenizer\.model|modules\.json|sentence_bert_config\.json|config_sentence_transformers\.json|LICEN[CS]E.*|README\.md)$/i;

/** The folders and files in which sentence-transformers keeps what follows a model. */
const STEP_FOLDER = /^\d+_[A-Za-z]+$/;
const STEP_FILES = ["config.json", "model.safetensors"];

/** Writes a model as a folder that mlx-lm reads as well. */
export async function convertLocalModel(
  model: string,
  folder: string,
  addon: NativeAddon,
  options: ConvertOptions,
  search: ModelSearch = {},
): Promise<ConvertedModel> {
  const target = resolve(expandHome(folder, search.env));
  const files = await readModelFiles(await findModel(model, search));
  checkModelType(files, addon.modelTypes());
  const conversion = conversionOf(files, options);
  await checkIsFree(target);
  // Under its own name only once it is whole: nobody takes half of it for a model.
  const unfinished = join(dirname(target), `.${basename(target)}.unfinished-${randomUUID()}`);
  const clear = () => rm(unfinished, { recursive: true, force: true });
  // At once: writing a piece may take longer than the process lives on.
  const abort = () => void clear().catch(() => {});
  options.signal?.addEventListener("abort", abort);
  try {
    await makeFolder(unfinished);
    const written = await convertWeights(files, unfinished, addon, conversion, options.signal);
    checkQuantized(files, conversion, written);
    await writeTexts(files, unfinished, conversion, written, options.dtype);
    await rename(unfinished, target);
    return { folder: target, bytes: written.bytes, bitsPerWeight: bitsPerWeight(written) };
  } catch (error) {
    if (options.signal?.aborted) throw abortedBy(options.signal);
    throw isOfWriting(error) ? writeError(error, target) : loadError(error, files.folder);
  } finally {
    options.signal?.removeEventListener("abort", abort);
    await clear();
  }
}

function conversionOf(files: ModelFiles, options: ConvertOptions): NativeConversion {
  const { quantize, groupSize, dequantize = false, dtype = typeOf(files.config) } = options;
  if (quantize !== undefined && dequantize) {
    throw new ConfigurationError("Weights can be quantized or made dense, not both at once.");
  }
  if (quantize !== undefined) checkNotQuantized(files);
  const wanted = quantize === undefined ? undefined : toNativeQuantize(quantize, groupSize);
  if (groupSize !== undefined && wanted?.group_size !== groupSize) {
    const fixed = wanted
      ? `${quantize} has groups of ${wanted.group_size}`
      : "nothing is quantized";
    throw new ConfigurationError(`A group size of ${groupSize} cannot be used: ${fixed}.`);
  }
  return { quantize: wanted, dequantize, dtype };
}

/** The number type that config.json names, under its older or newer key. */
function typeOf(config: Json): WeightType | undefined {
  const text = isObject(config.text_config) ? config.text_config : {};
  const named = config.torch_dtype ?? config.dtype ?? text.dtype;
  return WEIGHT_TYPES.find((type) => type === named);
}

async function checkIsFree(folder: string): Promise<void> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new ConfigurationError(`${folder} is not a folder.`, {
      url: folder,
      hint: "Name a new folder.",
      cause: error,
    });
  });
  if (entries.length === 0) return;
  throw new ConfigurationError(`${folder} is there already, and not empty.`, {
    url: folder,
    hint: "Name another folder, or remove this one.",
  });
}

async function convertWeights(
  { config, weightFiles, gguf }: ModelFiles,
  folder: string,
  addon: NativeAddon,
  conversion: NativeConversion,
  signal: AbortSignal | undefined,
): Promise<NativeConverted> {
  signal?.throwIfAborted();
  const converting = addon.convert(config, gguf ?? weightFiles, conversion, folder);
  const cancel = () => converting.cancel();
  signal?.addEventListener("abort", cancel);
  try {
    return await converting.done;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

function checkQuantized(
  { folder }: ModelFiles,
  { quantize }: NativeConversion,
  { quantizations }: NativeConverted,
): void {
  if (!quantize || Object.keys(quantizations).length > 0) return;
  throw new ConfigurationError(
    `Nothing in ${folder} can be quantized in groups of ${quantize.group_size}.`,
    { url: folder, hint: "No matrix has such a width: choose smaller groups." },
  );
}

async function writeTexts(
  files: ModelFiles,
  folder: string,
  { quantize }: NativeConversion,
  written: NativeConverted,
  dtype: WeightType | undefined,
): Promise<void> {
  const typeKey = "dtype" in files.config ? "dtype" : "torch_dtype";
  const config = {
    ...files.config,
    ...quantizationOf(quantize, written),
    ...(dtype && { [typeKey]: dtype }),
  };
  const index = { metadata: { total_size: written.bytes }, weight_map: written.weightMap };
  await writeJson(join(folder, "config.json"), withoutForeign(config));
  await writeJson(join(folder, "model.safetensors.index.json"), index);
  if (isGgufFile(files.folder)) return writeGgufTexts(files.folder, folder);
  const present = await readdir(files.folder);
  await copyFiles(
    files.folder,
    folder,
    present.filter((name) => COPIED.test(name)),
  );
  for (const name of present.filter((each) => STEP_FOLDER.test(each))) {
    await makeFolder(join(folder, name));
    await copyFiles(join(files.folder, name), join(folder, name), STEP_FILES);
  }
}

/** Links of the Hugging Face cache are followed: a folder stands for itself. */
async function copyFiles(from: string, to: string, names: string[]): Promise<void> {
  for (const name of names) {
    const isFile = (await stat(join(from, name)).catch(() => undefined))?.isFile();
    if (isFile) await copyFile(join(from, name), join(to, name));
  }
}

/** Whether the system, or MLX, could not write: nothing is wrong with the model then. */
function isOfWriting(error: unknown): error is NodeJS.ErrnoException {
  const { syscall, message } = (error ?? {}) as NodeJS.ErrnoException;
  return !LLMError.is(error) && (syscall !== undefined || /^\[(?:write|save)/.test(message));
}

function writeError(error: NodeJS.ErrnoException, folder: string): GenerationError {
  const isFull = error.code === "ENOSPC" || error.code === "EDQUOT";
  return new GenerationError(`${folder} cannot be written: ${error.message.replace(/\.$/, "")}.`, {
    provider: "mlx",
    url: folder,
    code: isFull ? "disk_full" : "convert_failed",
    hint: "Name a folder that you may write, on a disk with room for the model. Nothing was kept.",
    cause: error,
  });
}

/** What a GGUF file says, as the files of an MLX folder. */
async function writeGgufTexts(file: string, folder: string): Promise<void> {
  for (const name of GGUF_TEXTS) {
    if (name === "config.json") continue;
    await writeJson(join(folder, name), await readModelJson(file, name, "bad_tokenizer"));
  }
}

/** As mlx-lm writes it: one setting for all modules, and those that have another one by path. */
function quantizationOf(
  quantize: NativeQuantize | undefined,
  { quantizations }: NativeConverted,
): { quantization?: Json; quantization_config?: Json } {
  const all = Object.entries(quantizations);
  const [first] = all;
  if (!first) return { quantization: undefined, quantization_config: undefined };
  const { mode, bits, group_size } = quantize ?? first[1];
  const others = all.filter(
    ([, one]) => one.bits !== bits || one.group_size !== group_size || one.mode !== mode,
  );
  const quantization = { group_size, bits, mode, ...Object.fromEntries(others) };
  return { quantization, quantization_config: quantization };
}

/** What says nothing about the text model that was written. */
function withoutForeign({ _name_or_path, vision_config, audio_config, ...config }: Json): Json {
  return Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function writeJson(file: string, value: unknown): Promise<void> {
  return writeFile(file, `${JSON.stringify(value, undefined, 2)}\n`);
}

function bitsPerWeight({ bytes, parameters }: NativeConverted): number {
  return (bytes * 8) / parameters;
}
