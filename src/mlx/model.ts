import { totalmem } from "node:os";
import { ModelLoadError } from "../errors.js";
import { type ChatTemplate, loadChatTemplate } from "./chat-template.js";
import { type ModelFiles, readModelFiles } from "./model-files.js";
import { loadError } from "./native-errors.js";
import type { NativeAddon, NativeModel } from "./native-types.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer.js";

/** A model in memory with everything that turns messages into its tokens and back. */
export interface LoadedModel {
  files: ModelFiles;
  native: NativeModel;
  tokenizer: Tokenizer;
  template: ChatTemplate | undefined;
  /** Tokens that end a reply. */
  stopTokens: number[];
}

/** Loads the model of a folder; throws a `ModelLoadError` that names the file and the reason. */
export async function loadModel(folder: string, addon: NativeAddon): Promise<LoadedModel> {
  const files = await readModelFiles(folder);
  checkModelType(files, addon.modelTypes());
  checkMemory(files, memoryLimit(addon));
  // MLX reads the weights on its own thread, so the text side loads meanwhile.
  const loading = addon.load(files.config, files.weightFiles);
  // It may fail before anybody awaits it, which Node would take for a forgotten rejection.
  loading.catch(() => {});
  try {
    const [tokenizer, template] = await Promise.all([
      loadTokenizer(folder),
      loadChatTemplate(folder),
    ]);
    const native = await loading;
    return { files, native, tokenizer, template, stopTokens: stopTokensOf(files, tokenizer) };
  } catch (error) {
    loading.then(
      (native) => native.close(),
      () => {},
    );
    throw loadError(error, folder);
  }
}

/** Throws unless the weights fit into the memory that MLX may use; both in bytes. */
export function checkMemory({ folder, weightBytes }: ModelFiles, limit: number): void {
  if (weightBytes <= limit) return;
  throw new ModelLoadError(
    `The model in ${folder} needs ${gigabytes(weightBytes)} for its weights, but MLX may use only ${gigabytes(limit)} here.`,
    { code: "insufficient_memory", url: folder, hint: "Use a smaller or more quantized model." },
  );
}

function memoryLimit(addon: NativeAddon): number {
  const { maxRecommendedWorkingSetSize, memorySize } = addon.device();
  return maxRecommendedWorkingSetSize ?? memorySize ?? totalmem();
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

function stopTokensOf({ eosTokenIds }: ModelFiles, { eosTokenId }: Tokenizer): number[] {
  return [...new Set(eosTokenId === undefined ? eosTokenIds : [...eosTokenIds, eosTokenId])];
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
