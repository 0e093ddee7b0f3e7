import type { FileHandle } from "node:fs/promises";
import { ModelLoadError } from "../errors.js";
import { type Fields, isObject } from "../fields.js";
import { openRegular } from "../regular-file.js";

export { isObject } from "../fields.js";

/** A JSON object. */
export type Json = Fields;

/** What is wrong when a file of a model cannot be used. */
export type FileProblem = "bad_adapter" | "bad_config" | "bad_template" | "bad_tokenizer";

/** Far more than any of these files has; a bigger one would only fill the memory. */
const LARGEST_FILE = 256 * 1024 * 1024;

const STRING_OR_WORD = /"[^"\\]*(?:\\.[^"\\]*)*"|-?Infinity|NaN/g;
const PLAIN = new Map([
  ["Infinity", "1e999"],
  ["-Infinity", "-1e999"],
  ["NaN", "null"],
]);

const REPAIR = "Repair the file, download the model again, or choose another one.";

/** The object in a JSON file; undefined where there is no such file. */
export async function readJsonObject(file: string, code: FileProblem): Promise<Json | undefined> {
  const value = await readJson(file, code);
  if (value === undefined || isObject(value)) return value;
  throw badFile(code, `${file} is not a JSON object.`, REPAIR);
}

/** The list in a JSON file; undefined where there is no such file. */
export async function readJsonList(
  file: string,
  code: FileProblem,
): Promise<unknown[] | undefined> {
  const value = await readJson(file, code);
  if (value === undefined || Array.isArray(value)) return value;
  throw badFile(code, `${file} is not a JSON list.`, REPAIR);
}

async function readJson(file: string, code: FileProblem): Promise<unknown> {
  const text = await readText(file, code);
  if (text === undefined) return undefined;
  try {
    return parse(text);
  } catch (error) {
    throw badFile(code, `${file} is not JSON: ${(error as Error).message}.`, REPAIR, error);
  }
}

/** Python writes numbers that JSON does not have: Mamba's `time_step_limit` ends in Infinity. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const plain = text.replace(STRING_OR_WORD, (found) => PLAIN.get(found) ?? found);
    if (plain === text) throw error;
    return JSON.parse(plain);
  }
}

/** The text of a file of at most so many bytes; undefined where there is no such file. */
export async function readText(
  file: string,
  code: FileProblem,
  largest = LARGEST_FILE,
): Promise<string | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await openRegular(file);
    const { size } = await handle.stat();
    if (size > largest) {
      const message = `${file} is ${size} bytes long; at most ${largest} are read.`;
      throw badFile(code, message, "Download the model again, or choose another one.");
    }
    return await handle.readFile("utf8");
  } catch (error) {
    if (error instanceof ModelLoadError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const message = `${file} cannot be read: ${(error as Error).message}.`;
    throw badFile(code, message, "It must be a file that this user may read.", error);
  } finally {
    await handle?.close();
  }
}

function badFile(code: FileProblem, message: string, hint: string, cause?: unknown) {
  return new ModelLoadError(message, { code, hint, cause });
}
