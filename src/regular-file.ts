import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Opens a file to read it; what is no regular file, such as a pipe or a device, is refused. */
export async function openRegular(file: string): Promise<FileHandle> {
  // Without the flag a pipe that nobody writes to would never be open.
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    if ((await handle.stat()).isFile()) return handle;
    throw new NotRegular();
  } catch (error) {
    await handle.close();
    throw error;
  }
}

class NotRegular extends Error {
  override message = "it is not a regular file";
}

/** Why the bytes of a file did not come, after its name. */
export function whyUnread(error: unknown): string {
  if (error instanceof NotRegular) return "is not a regular file";
  const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
  return isMissing ? "does not exist" : "cannot be read";
}

/** So many bytes of a file; throws where it ends before. */
export async function readExactly(
  handle: FileHandle,
  position: number,
  length: number,
): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) throw new Error(`the file ended at byte ${position + filled}`);
    filled += bytesRead;
  }
  return buffer;
}

/** The beginning of a text file, at most so many bytes of it. */
export async function readBeginning(file: string, length: number): Promise<string> {
  const handle = await openRegular(file);
  try {
    const { size } = await handle.stat();
    return (await readExactly(handle, 0, Math.min(size, length))).toString();
  } finally {
    await handle.close();
  }
}

/** A text file, which may have at most so many bytes. */
export async function readWhole(file: string, most: number): Promise<string> {
  const handle = await openRegular(file);
  try {
    const { size } = await handle.stat();
    if (size > most) throw new Error(`it has more than ${most} bytes`);
    return (await readExactly(handle, 0, size)).toString();
  } finally {
    await handle.close();
  }
}
