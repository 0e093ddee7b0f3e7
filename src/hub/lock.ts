import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";

/** Who holds a lock. */
export interface LockHolder {
  pid: number;
  host: string;
}

/** A lock that this process holds. */
export interface Lock {
  release(): Promise<void>;
}

const BEAT_MS = 3000;
/** A holder that did not touch its lock for so long is gone, wherever it ran. */
const DEAD_AFTER_MS = 30_000;

/**
 * Takes a lock, or tells who holds it. The lock is a file that its holder touches from time to
 * time; that of a process that has died counts no more. `onLost` is told when another process has
 * taken it, as it may do after this one was suspended.
 */
export async function tryLock(file: string, onLost: () => void): Promise<Lock | LockHolder> {
  const content = `${process.pid} ${hostname()} ${randomUUID()}\n`;
  // Of many who find that nobody holds it any more the fastest gets it.
  while (!(await createWhole(file, content))) {
    const holder = await livingHolder(file);
    if (holder) return holder;
  }
  const isMine = async () => (await readFile(file, "utf8").catch(() => "")) === content;
  const beat = setInterval(async () => {
    if (!(await isMine())) onLost();
    else await utimes(file, new Date(), new Date()).catch(() => {});
  }, BEAT_MS).unref();
  return {
    async release() {
      clearInterval(beat);
      if (await isMine()) await rm(file, { force: true });
    },
  };
}

/** Creates a file that from its first moment has its content; false where there is one. */
async function createWhole(file: string, content: string): Promise<boolean> {
  const temporary = `${file}.${randomUUID()}`;
  await writeFile(temporary, content, { flag: "wx" });
  try {
    await link(temporary, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Who holds a lock; a lock that nobody holds any more is removed. */
async function livingHolder(file: string): Promise<LockHolder | undefined> {
  const found = await Promise.all([readFile(file, "utf8"), stat(file)]).catch(ifMissing);
  if (!found) return undefined;
  const [content, stats] = found;
  const [, pid, host] = /^(\d+) (\S*) /.exec(content) ?? [];
  const holder = { pid: Number(pid), host: host ?? "" };
  const isFresh = Date.now() - stats.mtimeMs < DEAD_AFTER_MS;
  if (isFresh && pid !== undefined && (holder.host !== hostname() || isAlive(holder.pid))) {
    return holder;
  }
  await removeStale(file, content);
  return undefined;
}

/** Between looking and removing another process may have taken the lock: then it is put back. */
async function removeStale(file: string, content: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  const isMoved = await rename(file, aside).then(() => true, ifMissing);
  if (!isMoved) return;
  if ((await readFile(aside, "utf8")) !== content) await link(aside, file).catch(() => {});
  await rm(aside, { force: true });
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
