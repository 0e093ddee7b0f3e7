import { createHash, type Hash } from "node:crypto";
import { access, constants } from "node:fs/promises";
import { ConfigurationError } from "../errors.js";
import { makeFolder } from "../make-folder.js";
import type { Quantize } from "../quantize.js";
import { openRegular, readExactly } from "../regular-file.js";
import type { ModelFiles } from "./model-files.js";
import { memoryLimit } from "./model-memory.js";
import type { NativeAddon, NativeModel } from "./native-types.js";

/** What models may keep of prompts and replies. */
export interface PromptCacheOptions {
  /** Bytes in memory, of each model; 0 keeps none. */
  promptCacheBytes?: number;
  /** Where they are kept for later processes, too. */
  promptCacheFolder?: string;
}

/** Of the memory that models may take, what one may keep of prompts unless told. */
const SHARE_OF_PROMPTS = 1 / 8;
/** Of the files of a folder. */
const FOLDER_BYTES = 10e9;
/** Parts of a weight file that tell it from others, spread over the file. */
const SAMPLES = 64;
const SAMPLE_BYTES = 4096;

/** Lets a model remember what it reads. */
export async function openPromptCache(
  native: NativeModel,
  addon: NativeAddon,
  files: ModelFiles,
  { promptCacheBytes, promptCacheFolder, quantize }: PromptCacheOptions & { quantize?: Quantize },
): Promise<void> {
  const activeMemory = memoryLimit(addon);
  const bytes = promptCacheBytes ?? Math.floor(activeMemory * SHARE_OF_PROMPTS);
  const limits = { bytes, activeMemory };
  if (bytes === 0 || promptCacheFolder === undefined) {
    await native.limitPromptCache(limits);
    return;
  }
  await checkFolder(promptCacheFolder);
  const fingerprint = await fingerprintOf(files, [addon.version().mlx, quantize]);
  const store = { folder: promptCacheFolder, folderBytes: FOLDER_BYTES, fingerprint };
  await native.limitPromptCache({ ...limits, ...store });
}

async function checkFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
    await access(folder, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw new ConfigurationError(
      `promptCacheFolder is ${JSON.stringify(folder)}, where nothing can be kept: ${(error as Error).message}`,
      { hint: "Name a folder that can be written to.", cause: error },
    );
  }
}

/** What tells a model, as it computes here, from all others; of its weights only samples are read. */
export async function fingerprintOf(
  { config, weightFiles }: Pick<ModelFiles, "config" | "weightFiles">,
  engine: unknown[],
): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([config, engine]));
  for (const file of weightFiles) await addSamples(hash, file);
  return hash.digest("hex");
}

async function addSamples(hash: Hash, file: string): Promise<void> {
  const handle = await openRegular(file);
  try {
    const { size } = await handle.stat();
    hash.update(`${size}`);
    const last = Math.max(0, size - SAMPLE_BYTES);
    for (let sample = 0; sample <= SAMPLES; sample++) {
      const position = Math.floor((last * sample) / SAMPLES);
      hash.update(await readExactly(handle, position, Math.min(SAMPLE_BYTES, size)));
    }
  } finally {
    await handle.close();
  }
}
