import type { Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { LLMError, ProtocolError } from "../errors.js";
import { addContent, newHash } from "./content-hash.js";
import type { HubAnswer, HubConnection } from "./hub-connection.js";
import type { HubQuestion } from "./hub-errors.js";
import type { HubFile } from "./listing.js";

/** How often and after what time a request is sent again; in seconds. */
export interface RetrySettings {
  maxRetries: number;
  retryDelay: number;
  retryMaxDelay: number;
  retryExponentialBase: number;
}

/** One file to download. */
export interface Download {
  file: HubFile;
  url: URL;
  question: HubQuestion;
  /** Where the bytes are collected, and where they go when all are there and right. */
  partial: string;
  target: string;
  signal: AbortSignal;
  onProgress(bytes: number): void;
}

/** How often a file with the wrong content is downloaded anew. */
const MOST_CORRUPT = 2;

/** Downloads a file, from where an earlier download has left it, and checks it. */
export async function download(
  connection: HubConnection,
  settings: RetrySettings,
  job: Download,
): Promise<void> {
  const handle = await openPartial(job.partial);
  try {
    const part = new Part(connection, job, handle);
    await part.takeUp();
    for (let corrupt = 0; ; ) {
      await persist(
        settings,
        job.signal,
        () => part.best,
        () => part.fetchRest(),
      );
      if (part.isRight()) break;
      await part.forget();
      if (++corrupt <= MOST_CORRUPT) continue;
      await rm(job.partial, { force: true });
      throw wrongContent(job);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(job.partial, job.target);
}

/** Repeats what fails in passing, with growing delays, while it gets on or retries are left. */
export async function persist<T>(
  settings: RetrySettings,
  signal: AbortSignal,
  progress: () => number,
  work: () => Promise<T>,
): Promise<T> {
  const { maxRetries, retryDelay, retryMaxDelay, retryExponentialBase } = settings;
  for (let failures = 0, reached = progress(); ; ) {
    try {
      return await work();
    } catch (error) {
      if (progress() > reached) failures = 0;
      reached = progress();
      if (signal.aborted || !LLMError.is(error) || !error.retryable || failures >= maxRetries) {
        throw error;
      }
      const longest = Math.min(retryDelay * retryExponentialBase ** failures++, retryMaxDelay);
      const seconds = error.retryAfter ?? longest * Math.random();
      // Its own error would not tell why.
      await sleep(Math.min(seconds, 6 * retryMaxDelay) * 1000, undefined, { signal }).catch(() =>
        signal.throwIfAborted(),
      );
    }
  }
}

/** The bytes of a file that have come, and their hash. */
class Part {
  /** The most bytes that were there at a time. */
  best = 0;
  readonly #connection: HubConnection;
  readonly #job: Download;
  readonly #handle: FileHandle;
  #hash: Hash;
  #size = 0;
  /** What the storage called the content that the bytes are of. */
  #etag: string | undefined;

  constructor(connection: HubConnection, job: Download, handle: FileHandle) {
    this.#connection = connection;
    this.#job = job;
    this.#handle = handle;
    this.#hash = newHash(job.file);
  }

  /** Goes on from what an earlier process has left. */
  async takeUp(): Promise<void> {
    const { size } = await this.#handle.stat();
    if (size > this.#job.file.size) return this.#restart();
    await addContent(this.#hash, this.#handle, size, this.#job);
    this.#grow(size);
  }

  /** Begins anew, and counts anew. */
  async forget(): Promise<void> {
    await this.#restart();
    this.best = 0;
  }

  async #restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = newHash(this.#job.file);
    this.#etag = undefined;
    this.#size = 0;
    this.#job.onProgress(0);
  }

  isRight(): boolean {
    return this.#hash.copy().digest("hex") === this.#job.file.hash;
  }

  /** Asks for the bytes that are missing, once. */
  async fetchRest(): Promise<void> {
    const { file } = this.#job;
    if (this.#size === file.size) return;
    const { chunks } = await this.#ask();
    for await (const batch of chunks) {
      for (const chunk of batch) await this.#write(chunk);
    }
    if (this.#size < file.size) {
      throw this.#wrong(`ended after ${this.#size} of ${file.size} bytes`);
    }
  }

  async #ask(): Promise<HubAnswer> {
    const { url, question, signal } = this.#job;
    const headers: Record<string, string> = {};
    if (this.#size > 0) headers.range = `bytes=${this.#size}-`;
    // Its strong form only: a weak one does not tell whether bytes are the same.
    if (this.#size > 0 && this.#etag?.startsWith('"')) headers["if-range"] = this.#etag;
    const answer = await this.#connection.get({ url, headers, question, signal });
    const { status, headers: told } = answer;
    if (status === 206) this.#checkRange(told["content-range"]);
    else if (this.#size > 0) await this.#restart();
    this.#etag = told.etag;
    return answer;
  }

  #checkRange(range = ""): void {
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
    const { size } = this.#job.file;
    if (Number(first) === this.#size && (total === "*" || Number(total) === size)) return;
    throw this.#wrong(`came as "${range}", not from byte ${this.#size} of ${size}`);
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (this.#size + chunk.length > this.#job.file.size) {
      await this.#restart();
      throw this.#wrong(`has more than ${this.#job.file.size} bytes`);
    }
    for (let written = 0; written < chunk.length; ) {
      const { bytesWritten } = await this.#handle.write(chunk, written, null, this.#size + written);
      written += bytesWritten;
    }
    this.#hash.update(chunk);
    this.#grow(this.#size + chunk.length);
  }

  #grow(size: number): void {
    this.#size = size;
    this.best = Math.max(this.best, size);
    this.#job.onProgress(size);
  }

  #wrong(what: string): ProtocolError {
    const { file, question } = this.#job;
    return new ProtocolError(`${file.path} of ${question.repository} ${what}.`, {
      provider: "mlx",
      model: question.repository,
      code: "stream_truncated",
      retryable: true,
      hint: "Pull it again: what has been downloaded is kept.",
    });
  }
}

/** A link in its place would lead the bytes elsewhere, so it is removed. */
async function openPartial(path: string): Promise<FileHandle> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats && !(stats.isFile() && stats.nlink === 1)) await rm(path, { recursive: true });
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  return open(path, O_RDWR | O_CREAT | (O_NOFOLLOW ?? 0), 0o666);
}

function wrongContent({ file, question }: Download): ProtocolError {
  const kind = file.hashKind === "sha256" ? "SHA-256" : "git hash";
  return new ProtocolError(
    `${file.path} of ${question.repository} came ${MOST_CORRUPT + 1} times with the wrong content: its ${kind} is not ${file.hash}.`,
    {
      provider: "mlx",
      model: question.repository,
      code: "wrong_content",
      hint: "A proxy may change what it passes on. Nothing of it was kept.",
    },
  );
}
