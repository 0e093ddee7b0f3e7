import { readFile } from "node:fs/promises";
import type { ImagePart } from "../index.js";
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
  const isWrittenOut = source.trimStart().startsWith("{");
  const name = isWrittenOut ? "The schema" : `The schema ${source}`;
  const text = isWrittenOut ? source : (await readNamed(source, name)).toString("utf8");
  const schema = parse(text, name);
  if (typeof schema === "object" && schema !== null && !Array.isArray(schema)) {
    return schema as Record<string, unknown>;
  }
  throw new UsageError(`${name} is no JSON object.`);
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
