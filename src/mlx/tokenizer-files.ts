import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ModelLoadError } from "../errors.js";

export type Json = Record<string, unknown>;

/** Far more than any tokenizer has; a bigger file would only fill the memory. */
const LARGEST_FILE = 256 * 1024 * 1024;

/** The names under which a tokenizer's configuration gives its special tokens. */
const SPECIAL_TOKEN_NAMES = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
];

/** tokenizer_config.json, with the special tokens that only special_tokens_map.json has. */
export async function readTokenizerConfig(folder: string): Promise<Json> {
  const map = (await readJsonObject(join(folder, "special_tokens_map.json"))) ?? {};
  const config = (await readJsonObject(join(folder, "tokenizer_config.json"))) ?? {};
  return { ...map, ...config };
}

/** The special tokens that have a name, such as `bos_token`, by that name. */
export function namedSpecialTokens(config: Json): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const name of SPECIAL_TOKEN_NAMES) {
    const token = tokenContent(config[name]);
    if (token !== undefined) tokens[name] = token;
  }
  return { ...tokens, ...extraNamedTokens(config) };
}

/** Every special token of the configuration, named or not. */
export function specialTokens(config: Json): string[] {
  const lists = [config.additional_special_tokens, config.extra_special_tokens];
  const unnamed = lists.flatMap((list) => (Array.isArray(list) ? list.map(tokenContent) : []));
  const tokens = [...Object.values(namedSpecialTokens(config)), ...unnamed];
  return [...new Set(tokens.filter((token) => token !== undefined))];
}

/** A token is given as a string, or as an object with more about it. */
function tokenContent(token: unknown): string | undefined {
  const content = isObject(token) ? token.content : token;
  return typeof content === "string" && content !== "" ? content : undefined;
}

function extraNamedTokens(config: Json): Record<string, string> {
  if (!isObject(config.extra_special_tokens)) return {};
  const entries = Object.entries(config.extra_special_tokens);
  return Object.fromEntries(
    entries.flatMap(([name, token]) => {
      const content = tokenContent(token);
      return content === undefined ? [] : [[name, content]];
    }),
  );
}

/** The object in a JSON file; undefined where there is no such file. */
export async function readJsonObject(file: string): Promise<Json | undefined> {
  const text = await readText(file, LARGEST_FILE, "bad_tokenizer");
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badTokenizer(file, `is not JSON: ${(error as Error).message}`, error);
  }
  if (!isObject(value)) throw badTokenizer(file, "is not a JSON object");
  return value;
}

/** The text of a file of at most so many bytes; undefined where there is no such file. */
export async function readText(
  file: string,
  largest: number,
  code: "bad_tokenizer" | "bad_template",
): Promise<string | undefined> {
  try {
    const { size } = await stat(file);
    if (size > largest) {
      const hint = "Download the model again, or choose another one.";
      throw new ModelLoadError(`${file} is ${size} bytes long; at most ${largest} are read.`, {
        code,
        hint,
      });
    }
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof ModelLoadError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const message = `${file} cannot be read: ${(error as Error).message}`;
    throw new ModelLoadError(message, {
      code,
      hint: "Check the file's permissions.",
      cause: error,
    });
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function badTokenizer(file: string, reason: string, cause?: unknown): ModelLoadError {
  return new ModelLoadError(`${file} ${reason}.`, {
    code: "bad_tokenizer",
    hint: "Repair the file, download the model again, or choose another one.",
    cause,
  });
}
