import { ModelLoadError } from "../errors.js";
import { isObject, type Json } from "./json-file.js";
import { readModelJson } from "./model-texts.js";

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

/** The files of a tokenizer's configuration; what a later one says counts. */
export const TOKENIZER_CONFIG_FILES = ["special_tokens_map.json", "tokenizer_config.json"];

/** tokenizer_config.json, with the special tokens that only special_tokens_map.json has. */
export async function readTokenizerConfig(folder: string): Promise<Json> {
  const [map, config] = await Promise.all(
    TOKENIZER_CONFIG_FILES.map((name) => readModelJson(folder, name, "bad_tokenizer")),
  );
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

export function badTokenizer(file: string, reason: string, cause?: unknown): ModelLoadError {
  return new ModelLoadError(`${file} ${reason}.`, {
    code: "bad_tokenizer",
    hint: "Repair the file, download the model again, or choose another one.",
    cause,
  });
}
