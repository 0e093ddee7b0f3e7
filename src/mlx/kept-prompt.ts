import { randomUUID } from "node:crypto";
import { chmod, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { GenerationError, LLMError, ValidationError } from "../errors.js";
import { expandHome } from "../home-folder.js";
import { openRegular } from "../regular-file.js";
import type { CheckedRequest } from "../request.js";
import type { MlxOptions, PromptCacheInfo } from "../types.js";
import { readAdapter } from "./adapter-files.js";
import { admit } from "./admission.js";
import type { LoadedModel } from "./model.js";
import type { NativePromptCacheFile } from "./native-types.js";
import { buildContinuation, encodeOpenPrompt, type OpenPrompt } from "./open-prompt.js";
import { fingerprintOf } from "./prompt-cache.js";
import { OWN_KEYS, type PromptCacheFile, readPromptCacheFile } from "./prompt-cache-file.js";
import type { Prompt } from "./prompt.js";

/** A model that is to keep a text in a file, or has kept it there. */
export interface Keeper {
  model: LoadedModel;
  /** As the caller calls it. */
  name: string;
  /** The same for others: its folder, unless they know that name, too. */
  publicName: string;
  /** The folder of the adapter that it has. */
  adapter: string | undefined;
}

const EXTENSION = ".safetensors";

/** Reads a text and writes what the model keeps of it, in mlx-lm's format. */
export async function writeKeptPrompt(
  { model, name, publicName, adapter }: Keeper,
  file: string,
  prompt: OpenPrompt,
  signal: AbortSignal,
): Promise<PromptCacheInfo> {
  const target = pathOf(file);
  if (!target.endsWith(EXTENSION)) {
    throw new ValidationError(`${file} must end in ${EXTENSION}: mlx-lm goes by the name.`);
  }
  const { options = {} } = prompt;
  const tokens = await encodeOpenPrompt(model, prompt, signal);
  const metadata = {
    model: publicName,
    tokenizer_config: "{}",
    [OWN_KEYS.tokens]: tokens.join(","),
    [OWN_KEYS.fingerprint]: await fingerprint(model, options, adapter),
  };
  const settings = {
    ...{ maxTokens: 1, stopTokens: [], temperature: 0, promptCache: options.promptCache },
    ...admit(model, tokens.length, options),
  };
  // Under its own name only once it is whole.
  const unfinished = join(dirname(target), `.${basename(target)}.${randomUUID()}${EXTENSION}`);
  const session = model.native.session();
  const abort = () => session.close();
  signal.addEventListener("abort", abort);
  try {
    await session.writePromptCache(tokens, settings, unfinished, metadata);
    signal.throwIfAborted();
    await syncFile(unfinished);
    // It tells what was said.
    await chmod(unfinished, 0o600);
    await rename(unfinished, target);
    return { file: target, model: name, tokens: tokens.length, bytes: (await stat(target)).size };
  } catch (error) {
    signal.throwIfAborted();
    throw isOfWriting(error) ? notWritten(target, error) : error;
  } finally {
    signal.removeEventListener("abort", abort);
    session.close();
    await rm(unfinished, { force: true });
  }
}

/** Lets a model remember the text of a file, as if it had read it. */
export async function rememberKeptPrompt(
  keeper: Keeper,
  file: string,
  prompt: Partial<OpenPrompt>,
  signal: AbortSignal,
): Promise<PromptCacheInfo> {
  const { model, name } = keeper;
  const kept = await openKeptPrompt(keeper, file, prompt.options);
  if (kept.cache.maxKvSize !== undefined) {
    throw mismatch(file, "keeps a part of its text only, which no other prompt can begin with");
  }
  const { messages, options } = prompt;
  const given = messages && (await encodeOpenPrompt(model, { messages, options }, signal));
  const tokens = agreedTokens(file, kept, given);
  const cache = { ...kept.cache, tokens: tokens.length };
  const known = await model.native.readPromptCache(cache, tokens);
  if (known < tokens.length) throw notRemembered(file, tokens.length);
  const path = pathOf(file);
  return { file: path, model: name, tokens: tokens.length, bytes: (await stat(path)).size };
}

/** A prompt behind the text of a file, and the request for it: it is packed as the file is. */
export interface Continuation {
  request: CheckedRequest;
  prompt: Prompt;
  cache: NativePromptCacheFile;
}

/** Lets a request go on behind the text of a file. */
export async function continueKeptPrompt(
  keeper: Keeper,
  file: string,
  request: CheckedRequest,
  signal: AbortSignal,
): Promise<Continuation> {
  const mlx = request.providerOptions?.mlx;
  const kept = await openKeptPrompt(keeper, file, mlx);
  const { cache } = kept;
  const prompt = await buildContinuation(keeper.model, request, cache.tokens, signal);
  const warnings = [...prompt.warnings, ...doubtsAbout(kept, keeper)];
  const providerOptions = { mlx: { ...mlx, ...packingOf(cache) } };
  return { request: { ...request, providerOptions }, prompt: { ...prompt, warnings }, cache };
}

/** Reads the description of a file, and checks that a model may go on behind its text. */
async function openKeptPrompt(
  { model, adapter }: Keeper,
  file: string,
  options: MlxOptions = {},
): Promise<PromptCacheFile> {
  const kept = await readPromptCacheFile(pathOf(file));
  checkSetting(file, "kvBits", kept.cache.kvBits, options.kvBits);
  checkSetting(file, "kvGroupSize", kept.cache.kvGroupSize, options.kvGroupSize);
  checkSetting(file, "maxKvSize", kept.cache.maxKvSize ?? NONE, options.maxKvSize);
  if (kept.fingerprint && kept.fingerprint !== (await fingerprint(model, options, adapter))) {
    throw mismatch(file, `was written with another model, ${kept.model ?? "which has no name"}`);
  }
  return kept;
}

function packingOf({ kvBits, kvGroupSize, maxKvSize }: NativePromptCacheFile): MlxOptions {
  const packed = kvBits === undefined ? {} : { kvBits, kvGroupSize, quantizedKvStart: 0 };
  return { ...packed, ...(maxKvSize === undefined ? {} : { maxKvSize }) } as MlxOptions;
}

/** What could not be checked: mlx-lm notes no more of a model than its name. */
function doubtsAbout(
  { model: written, fingerprint }: PromptCacheFile,
  { name, model }: Keeper,
): string[] {
  const isKnown = fingerprint !== undefined || written === undefined || written === name;
  if (isKnown || resolve(written) === model.files.folder) return [];
  return [`the prompt-cache file was written with a model called "${written}"`];
}

/** Stands for an option that a file does not have. */
const NONE = 0;

function checkSetting(
  file: string,
  name: keyof MlxOptions,
  kept: number | undefined,
  wanted: number | undefined,
): void {
  if (kept === undefined || wanted === undefined || kept === wanted) return;
  const has = kept === NONE ? `has no ${name}` : `has a ${name} of ${kept}`;
  throw mismatch(file, `${has}, and ${wanted} was asked for`);
}

/** The text of a file, which mlx-lm does not note: then the caller must know it. */
function agreedTokens(
  file: string,
  { tokens: own, cache }: PromptCacheFile,
  given: Uint32Array | undefined,
): Uint32Array {
  if (!given) {
    if (own) return Uint32Array.from(own);
    throw new ValidationError(`${file} does not tell the text that it was made of.`, {
      hint: "Give the text as messages, just as mlx_lm.cache_prompt was given it.",
    });
  }
  const count = own?.length ?? cache.tokens;
  if (count > 0 && count !== given.length) {
    throw mismatch(file, `holds ${count} tokens, but the messages have ${given.length}`);
  }
  const place = own?.findIndex((token, index) => token !== given[index]) ?? -1;
  if (place >= 0) throw mismatch(file, `holds another text: it differs at token ${place}`);
  return given;
}

/** What tells a model, with its adapter and the way it was quantized, from others. */
async function fingerprint(
  { files }: LoadedModel,
  { quantize }: MlxOptions,
  adapter: string | undefined,
): Promise<string> {
  const added = adapter === undefined ? [] : [(await readAdapter(adapter)).file];
  const weightFiles = [...files.weightFiles, ...added];
  return fingerprintOf({ ...files, weightFiles }, [quantize ?? null]);
}

function pathOf(file: string): string {
  return resolve(expandHome(file));
}

async function syncFile(file: string): Promise<void> {
  const handle = await openRegular(file);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function mismatch(file: string, reason: string): ValidationError {
  return new ValidationError(`The prompt-cache file ${file} does not fit: it ${reason}.`, {
    code: "prompt_cache_mismatch",
    provider: "mlx",
    url: file,
  });
}

function notRemembered(file: string, tokens: number): GenerationError {
  return new GenerationError(
    `The ${tokens} tokens of ${file} do not fit into what the model may remember.`,
    { code: "cache_too_large", provider: "mlx", url: file, hint: "Raise promptCacheBytes." },
  );
}

/** Whether the system, or MLX, could not write. */
function isOfWriting(error: unknown): error is NodeJS.ErrnoException {
  const { syscall, message } = (error ?? {}) as NodeJS.ErrnoException;
  return !LLMError.is(error) && (syscall !== undefined || /^\[(?:write|save)/.test(message));
}

function notWritten(file: string, error: NodeJS.ErrnoException): GenerationError {
  const isFull = error.code === "ENOSPC" || error.code === "EDQUOT";
  return new GenerationError(`${file} cannot be written: ${error.message.replace(/\.$/, "")}.`, {
    code: isFull ? "disk_full" : "prompt_cache_not_written",
    provider: "mlx",
    url: file,
    cause: error,
  });
}
