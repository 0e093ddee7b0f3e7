import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { HubFile } from "./listing.js";

const CHUNK = 4 * 1024 * 1024;

/** A hash that a file's content can be compared with; git also hashes how long it is. */
export function newHash({ hashKind, size }: HubFile): Hash {
  if (hashKind === "sha256") return createHash("sha256");
  return createHash("sha1").update(`blob ${size}\0`);
}

/** Adds what a file holds, telling how far that is. */
export async function addContent(
  hash: Hash,
  handle: FileHandle,
  size: number,
  { signal, onProgress }: { signal: AbortSignal; onProgress(bytes: number): void },
): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size));
  for (let position = 0; position < size; ) {
    signal.throwIfAborted();
    const length = Math.min(buffer.length, size - position);
    const { bytesRead } = await handle.read(buffer, 0, length, position);
    if (bytesRead === 0) throw new Error(`The file ends at byte ${position}.`);
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
    onProgress(position);
  }
}
