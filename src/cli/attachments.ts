import { readFile } from "node:fs/promises";
import type { ImagePart, Tool } from "../index.js";
import { UsageError } from "./exit-codes.js";

/** How the files of each kind of picture begin; "?" stands for any byte. */
const IMAGES: Record<string, string> = {
  "image/png": "\x89PNG",
  "image/jpeg": "\xff\xd8\xff",
  "image/gif": "GIF8",
  "image/webp": "RIFF????WEBP",
};

/** The pictures in files, as parts of a message. */
export function readImages(files: string[]): Promise<ImagePart[]> {
  return Promise.all(files.map(readImage));
}

/** A JSON Schema: written out, or in a file. */
export async function readSchema(source: string): Promise<Record<string, unknown>> {
  const { value, name } = await readJson(source, "The schema", "{");
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new UsageError(`${name} is no JSON object.`);
}

/** A Lark grammar in a file. */
export async function readGrammar(file: string): Promise<string> {
  return (await readNamed(file, `The grammar ${file}`)).toString("utf8");
}

/** A list of tools in JSON: written out, or in a file. The client checks each of them. */
export async function readTools(source: string): Promise<Tool[]> {
  const { value, name } = await readJson(source, "The list of tools", "[");
  if (Array.isArray(value)) return value as Tool[];
  throw new UsageError(`${name} is no JSON list.`);
}

async function readJson(
  source: string,
  what: string,
  start: string,
): Promise<{ value: unknown; name: string }> {
  const isWrittenOut = source.trimStart().startsWith(start);
  const name = isWrittenOut ? what : `${what} ${source}`;
  const text = isWrittenOut ? source : (await readNamed(source, name)).toString("utf8");
  return { value: parse(text, name), name };
}

async function readImage(file: string): Promise<ImagePart> {
  const image = await readNamed(file, `The image ${file}`);
  const start = image.toString("latin1", 0, 16);
  const isLike = (pattern: string) =>
    [...pattern].every((char, index) => char === "?" || char === start[index]);
  const mediaType = Object.keys(IMAGES).find((type) => isLike(IMAGES[type]!));
  if (mediaType) return { type: "image", image, mediaType };
  throw new UsageError(`The image ${file} is no PNG, JPEG, GIF or WebP file.`);
}

async function readNamed(file: string, name: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new UsageError(`${name} ${REASONS[code] ?? `cannot be read: ${message}`}.`);
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist",
  EISDIR: "is a folder",
  EACCES: "may not be read by this user",
};

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new UsageError(`${name} is not JSON: ${(error as Error).message}.`);
  }
}
