import { randomUUID } from "node:crypto";
import {
  lstat,
  readdir,
  readFile,
  readlink,
  rename,
  rmdir,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { GenerationError } from "../errors.js";
import { makeFolder } from "../make-folder.js";
import type { HubFile } from "./listing.js";
import { repositoryFolder } from "./repository-name.js";
import { isCommit } from "./safe-names.js";

/**
 * One repository in the Hugging Face cache: blobs/ has contents by their hashes, snapshots/ a folder
 * of links for each commit, refs/ the commits of branches and tags.
 */
export class RepositoryCache {
  readonly cache: string;
  readonly folder: string;
  /** One pull at a time holds it. */
  readonly lockFile: string;

  constructor(cache: string, repository: string) {
    const name = repositoryFolder(repository);
    this.cache = cache;
    this.folder = join(cache, name);
    this.lockFile = join(cache, ".locks", name, "llm-client.lock");
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  blob({ hash }: HubFile): string {
    return join(this.folder, "blobs", hash);
  }

  /** Where a download goes until it is whole; Python's tools do not touch it. */
  partial({ hash }: HubFile): string {
    return join(this.folder, "blobs", `${hash}.llm-client.incomplete`);
  }

  async prepareLock(): Promise<void> {
    await makeFolder(dirname(this.lockFile));
  }

  /** Call it with the lock: who held it before may have removed the repository. */
  async prepare(): Promise<void> {
    await makeFolder(this.folder);
    await ensureFolder(this.folder, ["blobs"]);
  }

  /** Takes back what `prepare` made, where nothing was put into it. */
  async tidy(): Promise<void> {
    for (const folder of [join(this.folder, "blobs"), this.folder]) {
      await rmdir(folder).catch(() => {});
    }
  }

  /** Whether the content of a file is there; Python may keep it behind a link. */
  async has(file: HubFile): Promise<boolean> {
    const stats = await stat(this.blob(file)).catch(() => undefined);
    return stats?.isFile() === true && stats.size === file.size;
  }

  /** How many bytes of a file an earlier download has left. */
  async partialSize(file: HubFile): Promise<number> {
    const stats = await lstat(this.partial(file)).catch(() => undefined);
    return stats?.isFile() ? Math.min(stats.size, file.size) : 0;
  }

  /** Makes a file appear in the folder of a commit. */
  async link(commit: string, file: HubFile): Promise<void> {
    const parts = file.path.split("/");
    const name = parts.pop()!;
    const parent = await ensureFolder(this.folder, ["snapshots", commit, ...parts]);
    const pointer = join(parent, name);
    const target = relative(parent, this.blob(file));
    if ((await readlink(pointer).catch(() => undefined)) === target) return;
    const temporary = join(parent, `.${randomUUID()}.tmp`);
    await symlink(target, temporary);
    await rename(temporary, pointer);
  }

  /** Notes which commit a branch or a tag is. */
  async setRef(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    const parts = revision.split("/");
    const name = parts.pop()!;
    const file = join(await ensureFolder(this.folder, ["refs", ...parts]), name);
    const temporary = `${file}.${randomUUID()}.tmp`;
    await writeFile(temporary, commit);
    await rename(temporary, file);
  }

  /** The commit that a revision was when it was last downloaded. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const file = join(this.folder, "refs", revision);
    const commit = (await readFile(file, "utf8").catch(() => "")).trim();
    return isCommit(commit) ? commit : undefined;
  }

  /** What the folder of a commit holds. */
  async filesOf(commit: string): Promise<HubFile[]> {
    const folder = this.snapshot(commit);
    const names = await readdir(folder, { recursive: true }).catch(() => [] as string[]);
    const files = names.map(async (path): Promise<HubFile[]> => {
      const stats = await stat(join(folder, path)).catch(() => undefined);
      return stats?.isFile() ? [{ path, size: stats.size, hash: "", hashKind: "git" }] : [];
    });
    return (await Promise.all(files)).flat();
  }
}

/** A folder below another one; a link on the way could lead anywhere, so it is refused. */
async function ensureFolder(root: string, parts: string[]): Promise<string> {
  let folder = root;
  for (const part of parts) {
    folder = join(folder, part);
    const stats = await lstat(folder).catch(() => undefined);
    if (stats === undefined) await makeFolder(folder);
    else if (!stats.isDirectory()) throw inTheWay(folder);
  }
  return folder;
}

function inTheWay(path: string): GenerationError {
  return new GenerationError(`${path} is in the way: it should be a folder, and no link.`, {
    provider: "mlx",
    url: path,
    code: "pull_failed",
    hint: "Remove it, and pull again.",
  });
}
