import { abortedBy } from "../abort.js";
import { ModelLoadError } from "../errors.js";
import type { Quantize } from "../quantize.js";
import { AdaptedModels } from "./adapted-models.js";
import { type ChatTemplate, loadChatTemplate } from "./chat-template.js";
import { digestOf, readGroup, takeTurn } from "./distributed.js";
import type { Json } from "./json-file.js";
import { type ModelFiles, readModelFiles } from "./model-files.js";
import { memoryLimit, reserveMemory } from "./model-memory.js";
import type { ModelLease } from "./model-pool.js";
import { cacheBytes } from "./footprint.js";
import { loadError } from "./native-errors.js";
import type {
  NativeAddon,
  NativeConversion,
  NativeFootprint,
  NativeGroup,
  NativeModel,
} from "./native-types.js";
import { isQuantized, toNativeQuantize } from "./quantization.js";
import { openPromptCache, type PromptCacheOptions } from "./prompt-cache.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer.js";
import { readTokenizerConfig } from "./tokenizer-files.js";

/** A model in memory with everything that turns messages into its tokens and back. */
export interface LoadedModel extends ModelParts {
  files: ModelFiles;
  /** Tokens that end a reply. */
  stopTokens: number[];
  footprint: NativeFootprint;
  /** Bytes that models and what they keep of texts may take. */
  memoryLimit: number;
  /** Whether other processes have parts of it. */
  shared: boolean;
  /** Sets memory aside for what reads images, which is loaded at the first one. */
  prepareToSee(): void;
  /** The same with the adapter of a folder. */
  withAdapter(folder: string, signal: AbortSignal): Promise<ModelLease>;
  /** Frees it. */
  close(): void;
}

/** What turns messages into the tokens of a model. */
export type ModelTexts = Pick<LoadedModel, "files" | "tokenizer" | "template">;

/** What is done to a model while it is loaded. */
export interface LoadOptions extends PromptCacheOptions {
  /** How its dense weights are quantized. */
  quantize?: Quantize;
  /** Whether it is shared with the other processes that the environment names. */
  distributed?: boolean;
}

interface ModelParts {
  native: NativeModel;
  tokenizer: Tokenizer;
  template: ChatTemplate | undefined;
}

/**
 * Loads the model of a folder; throws a `ModelLoadError` that names the file and the reason.
 * Aborting the signal ends the loading.
 */
export async function loadModel(
  folder: string,
  addon: NativeAddon,
  signal: AbortSignal,
  options: LoadOptions = {},
): Promise<LoadedModel> {
  let unreserve = () => {};
  try {
    const files = await readModelFiles(folder);
    checkModelType(files, addon.modelTypes());
    const { quantize, distributed } = options;
    const conversion = conversionOf(files, quantize);
    const group = distributed ? await readGroup(process.env) : undefined;
    const footprint = await addon.measure(
      engineConfig(files),
      files.gguf ?? files.weightFiles,
      conversion,
      group,
    );
    signal.throwIfAborted();
    const { weightBytes, growth } = footprint;
    const need = { folder, weightBytes, cacheBytes: cacheBytes(footprint, growth) };
    const limit = memoryLimit(addon);
    unreserve = reserveMemory(need, limit);
    const parts = await loadParts(files, addon, signal, {
      conversion,
      group: group && { ...group, digest: digestOf(files.config, conversion, weightBytes) },
    });
    // What processes remember could differ, and then what they compute together.
    const promptCache = group ? { promptCacheBytes: 0 } : options;
    if (!parts.native.isEncoder) {
      await openPromptCache(parts.native, addon, files, promptCache).catch((error: unknown) => {
        parts.native.close();
        throw error;
      });
    }
    const adapted = new AdaptedModels(parts.native);
    let unreserveVision = () => {};
    const close = () => {
      adapted.close();
      parts.native.close();
      unreserve();
      unreserveVision();
    };
    const prepareToSee = () => {
      const { visionBytes } = footprint;
      if (visionBytes === 0) return;
      const reading = { folder, weightBytes: visionBytes, cacheBytes: 0 };
      unreserveVision = reserveMemory(reading, limit);
      // From here on it is a part of the model like any other.
      footprint.weightBytes += visionBytes;
      footprint.visionBytes = 0;
    };
    const model: LoadedModel = {
      ...parts,
      files,
      stopTokens: stopTokensOf(files, parts),
      footprint,
      memoryLimit: limit,
      shared: group !== undefined,
      prepareToSee,
      withAdapter: async (adapter, until) => {
        const { native, release } = await adapted.with(adapter, until);
        return { model: { ...model, native }, release };
      },
      close,
    };
    return model;
  } catch (error) {
    unreserve();
    throw signal.aborted ? abortedBy(signal) : loadError(error, folder);
  }
}

/** Reads what the model of a folder knows of texts; its weights stay where they are. */
export async function loadTexts(folder: string): Promise<ModelTexts> {
  try {
    const files = await readModelFiles(folder);
    return { files, ...(await loadTextParts(files)) };
  } catch (error) {
    throw loadError(error, folder);
  }
}

async function loadTextParts({ folder }: ModelFiles) {
  const tokenizerConfig = readTokenizerConfig(folder);
  const [tokenizer, template] = await Promise.all([
    loadTokenizer(folder, tokenizerConfig),
    loadChatTemplate(folder, tokenizerConfig),
  ]);
  return { tokenizer, template };
}

async function loadParts(
  files: ModelFiles,
  addon: NativeAddon,
  signal: AbortSignal,
  { conversion, group }: { conversion?: NativeConversion; group?: NativeGroup },
): Promise<ModelParts> {
  const { weightFiles, gguf } = files;
  const endTurn = group && (await takeTurn(signal));
  const loading = addon.load(engineConfig(files), gguf ?? weightFiles, conversion, group);
  const cancel = () => loading.cancel();
  signal.addEventListener("abort", cancel);
  try {
    // MLX reads the weights on its own thread, so the text side loads meanwhile.
    const [native, texts] = await Promise.all([loading.model, loadTextParts(files)]);
    return { native, ...texts };
  } catch (error) {
    cancel();
    // The weights may have been there already.
    const freed = loading.model.then((native) => native.close());
    await freed.catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", cancel);
    endTurn?.();
  }
}

/** The configuration as the engine reads it: with the layers that other files describe. */
export function engineConfig({ config, sentence }: ModelFiles): Json {
  const dense = sentence.steps?.dense ?? [];
  return dense.length === 0 ? config : { ...config, dense_layers: dense };
}

/** Throws unless the addon knows models of this kind. */
export function checkModelType({ config, folder }: ModelFiles, known: string[]): void {
  const type = String(config.model_type);
  if (known.includes(type)) return;
  throw new ModelLoadError(`The model in ${folder} is of an unsupported kind: "${type}".`, {
    code: "unsupported_model_type",
    url: folder,
    hint: `Supported kinds are ${[...known].sort().join(", ")}.`,
  });
}

/** What is done to the weights while they are loaded. */
export function conversionOf(files: ModelFiles, quantize?: Quantize): NativeConversion | undefined {
  if (quantize === undefined) return undefined;
  checkNotQuantized(files);
  return { quantize: toNativeQuantize(quantize) };
}

/** Throws where a checkpoint is quantized already. */
export function checkNotQuantized({ config, folder }: ModelFiles): void {
  if (!isQuantized(config)) return;
  throw new ModelLoadError(`The model in ${folder} is quantized already.`, {
    code: "already_quantized",
    url: folder,
    hint: "Load it as it is, or choose the checkpoint that it was made from.",
  });
}

function stopTokensOf(
  { eosTokenIds }: ModelFiles,
  { native, tokenizer: { eosTokenId } }: ModelParts,
): number[] {
  const ids = new Set(eosTokenId === undefined ? eosTokenIds : [...eosTokenIds, eosTokenId]);
  // Some checkpoints name an end token beyond their vocabulary; it can never come.
  return [...ids].filter((id) => id < native.vocabSize);
}
