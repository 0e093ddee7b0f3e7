import { join } from "node:path";
import { type GgufHeader, isGgufFile, readGgufHeader } from "./gguf.js";
import { configOfGguf, generationConfigOfGguf } from "./gguf-config.js";
import { tokenizerConfigOfGguf, tokenizerOfGguf } from "./gguf-tokenizer.js";
import { type FileProblem, type Json, readJsonObject, readText } from "./json-file.js";

/** The files that a GGUF file stands for. */
const FILES_OF_GGUF: Record<string, (header: GgufHeader) => Json | Promise<Json>> = {
  "config.json": configOfGguf,
  "generation_config.json": generationConfigOfGguf,
  "tokenizer.json": tokenizerOfGguf,
  "tokenizer_config.json": tokenizerConfigOfGguf,
};

/** The names of the JSON files that every GGUF file stands for. */
export const GGUF_TEXTS = Object.keys(FILES_OF_GGUF);

/** The object in a JSON file of a model, or what a GGUF file says instead; undefined for none. */
export async function readModelJson(
  model: string,
  name: string,
  code: FileProblem,
): Promise<Json | undefined> {
  if (!isGgufFile(model)) return readJsonObject(join(model, name), code);
  return Object.hasOwn(FILES_OF_GGUF, name)
    ? FILES_OF_GGUF[name]!(await readGgufHeader(model))
    : undefined;
}

/** The text of a file of a model of at most so many bytes; undefined where there is no such file. */
export async function readModelText(
  model: string,
  name: string,
  code: FileProblem,
  largest: number,
): Promise<string | undefined> {
  return isGgufFile(model) ? undefined : readText(join(model, name), code, largest);
}

/** Where a file of a model lies, for messages. */
export function placeOf(model: string, name: string): string {
  return isGgufFile(model) ? model : join(model, name);
}
