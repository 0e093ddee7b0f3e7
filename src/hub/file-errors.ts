import { statfs } from "node:fs/promises";
import { GenerationError, LLMError } from "../errors.js";

const REASONS: Record<string, string> = {
  EACCES: "may not be written by this user",
  EPERM: "may not be written by this user, or knows no symbolic links",
  EROFS: "can only be read",
  ENOTSUP: "knows no symbolic links",
};

/** The error of a cache that cannot be written; other errors stay as they are. */
export function cacheError(error: unknown, cache: string): unknown {
  const { code = "", syscall, message } = (error ?? {}) as NodeJS.ErrnoException;
  if (LLMError.is(error) || syscall === undefined) return error;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return diskFull(`The disk of ${cache} is full.`, error);
  }
  return new GenerationError(`${cache} ${REASONS[code] ?? `cannot be used: ${message}`}.`, {
    provider: "mlx",
    url: cache,
    code: "pull_failed",
    hint: "Set HF_HOME or HF_HUB_CACHE to a folder that you may write.",
    cause: error,
  });
}

/** Throws where so many bytes do not fit beside what is on the disk. */
export async function checkSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes <= free) return;
  throw diskFull(
    `The download needs ${shown(bytes)}, and the disk of ${folder} has ${shown(free)} free.`,
  );
}

function diskFull(message: string, cause?: unknown): GenerationError {
  return new GenerationError(message, {
    provider: "mlx",
    code: "disk_full",
    hint: "Free some space (`llm-client models rm` removes a model), or set HF_HOME to a folder of another disk. What has been downloaded is kept.",
    cause,
  });
}

function shown(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
