import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pullFromHub, type PullRequest, type PullSettings } from "../../src/hub/pull.js";
import type { PullProgress } from "../../src/types.js";
import { type FakeHub, type FakeRepository, startFakeHub } from "../servers/fake-hub.js";

/** Nobody waits long in a test, and enough is tried again. */
export const SETTINGS: PullSettings = {
  connectTimeout: 5,
  timeout: 10,
  maxRetries: 5,
  retryDelay: 0.001,
  retryMaxDelay: 0.01,
  retryExponentialBase: 2,
};

/** A fake Hub, and a home folder of its own with the cache. */
export class HubFolders {
  readonly cache: string;

  private constructor(
    readonly hub: FakeHub,
    readonly home: string,
  ) {
    this.cache = join(home, "hub");
  }

  static async create(repositories: Record<string, FakeRepository>): Promise<HubFolders> {
    const home = await mkdtemp(join(tmpdir(), "hub-"));
    return new HubFolders(await startFakeHub(repositories), home);
  }

  get env(): Record<string, string> {
    return { HOME: this.home, HF_HOME: this.home, HF_ENDPOINT: this.hub.url };
  }

  /** Pulls to the end; gives everything that was told. */
  async pull(
    model: string,
    request: Partial<PullRequest> = {},
    settings: Partial<PullSettings> = {},
  ): Promise<PullProgress[]> {
    const { signal } = new AbortController();
    const told: PullProgress[] = [];
    const given = { model, signal, env: this.env, ...request };
    for await (const each of pullFromHub(given, { ...SETTINGS, ...settings })) told.push(each);
    return told;
  }

  /** Pulls a model that cannot be had; gives the error. */
  async refusal(...given: Parameters<HubFolders["pull"]>): Promise<Error & { hint?: string }> {
    return this.pull(...given).then(
      () => {
        throw new Error("it did not fail");
      },
      (error: Error) => error,
    );
  }

  folder(name: string, ...parts: string[]): string {
    return join(this.cache, `models--${name.replace("/", "--")}`, ...parts);
  }

  /** What the snapshot of a model holds. */
  async contents(name: string, revision = "main"): Promise<Record<string, Buffer>> {
    const commit = await readFile(this.folder(name, "refs", revision), "utf8").catch(() => "none");
    const folder = this.folder(name, "snapshots", commit);
    const names = await readdir(folder).catch(() => [] as string[]);
    const files = names.map(async (file) => [file, await readFile(join(folder, file))] as const);
    return Object.fromEntries(await Promise.all(files));
  }

  /** Everything in the cache, as sorted paths. */
  async paths(): Promise<string[]> {
    const entries = await readdir(this.cache, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    return files
      .map((entry) => join(entry.parentPath, entry.name).slice(this.cache.length + 1))
      .sort();
  }

  async remove(): Promise<void> {
    await this.hub.close();
    await rm(this.home, { recursive: true, force: true });
  }
}

/** Bytes that no two seeds have in common. */
export function bytes(length: number, seed = 1): Buffer {
  return Buffer.from(
    Array.from({ length }, (_, index) => (index * 31 + (index >> 8) * 7 + seed) & 0xff),
  );
}

/** The files of a model that nothing can run, but anybody can download. */
export function modelFiles(): Record<string, Buffer | string> {
  return {
    "README.md": "---\nlicense: mit\n---\n",
    "config.json": '{"model_type":"llama"}',
    "tokenizer.json": bytes(10_000, 2),
    "tokenizer_config.json": "{}",
    "model.safetensors": bytes(200_000),
    "pytorch_model.bin": bytes(9000, 3),
    "onnx/model.onnx": bytes(5000, 4),
    "original/consolidated.00.pth": bytes(5000, 5),
    ".gitattributes": "*.bin filter=lfs\n",
  };
}

/** Those of them that a model needs. */
export const NEEDED = [
  "README.md",
  "config.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
];
