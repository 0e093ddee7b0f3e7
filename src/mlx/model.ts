import { abortedBy } from "../abort.js";
import { ModelLoadError } from "../errors.js";
import { type ChatTemplate, loadChatTemplate } from "./chat-template.js";
import { type ModelFiles, readModelFiles } from "./model-files.js";
import { memoryLimit, reserveMemory } from "./model-memory.js";
import { loadError } from "./native-errors.js";
import type { NativeAddon, NativeModel } from "./native-types.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer.js";

/** A model in memory with everything that turns messages into its tokens and back. */
export interface LoadedModel extends ModelParts {
  files: ModelFiles;
  /** Tokens that end a reply. */
  stopTokens: number[];
  /** Frees it. */
  close(): void;
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
): Promise<LoadedModel> {
  let unreserve = () => {};
  try {
    const files = await readModelFiles(folder);
    checkModelType(files, addon.modelTypes());
    signal.throwIfAborted();
    unreserve = reserveMemory(files, memoryLimit(addon));
    const parts = await loadParts(files, addon, signal);
    const close = () => {
      parts.native.close();
      unreserve();
    };
    return { ...parts, files, stopTokens: stopTokensOf(files, parts), close };
  } catch (error) {
    unreserve();
    throw signal.aborted ? abortedBy(signal) : loadError(error, folder);
  }
}

async function loadParts(
  { config, weightFiles, folder }: ModelFiles,
  addon: NativeAddon,
  signal: AbortSignal,
): Promise<ModelParts> {
  const weights = addon.load(config, weightFiles);
  const cancel = () => weights.cancel();
  signal.addEventListener("abort", cancel);
  try {
    // MLX reads the weights on its own thread, so the text side loads meanwhile.
    const [native, tokenizer, template] = await Promise.all([
      weights.model,
      loadTokenizer(folder),
      loadChatTemplate(folder),
    ]);
    return { native, tokenizer, template };
  } catch (error) {
    cancel();
    // The weights may have been there already.
    const freed = weights.model.then((native) => native.close());
    await freed.catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

function checkModelType({ config, folder }: ModelFiles, known: string[]): void {
  const type = String(config.model_type);
  if (known.includes(type)) return;
  throw new ModelLoadError(`The model in ${folder} is of an unsupported kind: "${type}".`, {
    code: "unsupported_model_type",
    url: folder,
    hint: `Supported kinds are ${[...known].sort().join(", ")}.`,
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
