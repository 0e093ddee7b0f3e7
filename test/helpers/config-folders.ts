import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ConfigSources } from "../../src/config/settings.js";

/** A working directory and a home folder of their own, for configuration files. */
export class ConfigFolders {
  constructor(readonly root: string) {}

  static async create(): Promise<ConfigFolders> {
    const folders = new ConfigFolders(await mkdtemp(join(tmpdir(), "config-")));
    await mkdir(folders.cwd);
    return folders;
  }

  get cwd(): string {
    return join(this.root, "project");
  }

  get projectFile(): string {
    return join(this.cwd, "llm_config.json");
  }

  get userFile(): string {
    return join(this.root, ".config/llm-client/config.json");
  }

  /** Writes a text as it is, and anything else as JSON, for this user alone. */
  async write(file: string, content: unknown): Promise<void> {
    await mkdir(dirname(file), { recursive: true });
    const text = typeof content === "string" ? content : JSON.stringify(content);
    await writeFile(file, text, { mode: 0o600 });
  }

  /** Sources in which nothing comes from the machine that runs the tests. */
  sources(env: Record<string, string> = {}): ConfigSources {
    return {
      cwd: this.cwd,
      env: { HOME: this.root, ...env },
      platform: { platform: "linux", arch: "x64" },
    };
  }

  remove(): Promise<void> {
    return rm(this.root, { recursive: true });
  }
}
