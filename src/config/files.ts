import { readFileSync, type Stats, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { ConfigurationError } from "../errors.js";
import { checkValues } from "./check-values.js";
import { findJsonMistake } from "./json-position.js";
import type { Layer } from "./layers.js";
import type { ConfigValues } from "./schema.js";

/** A file that may hold a configuration. */
export interface ConfigFile {
  path: string;
  /** What messages call it. */
  name: string;
  /** It lies in the working directory, and nobody named it: it may be a stranger's. */
  isProject: boolean;
  /** Somebody named it, so it must be there. */
  isNamed: boolean;
}

const PROJECT_FILE = "llm_config.json";
const MAX_BYTES = 2 ** 20;
const FOR_OTHERS = 0o077;
/** In an address, after the name of a user. */
const PASSWORD = /:[^/]+@/;

/** The files that are read where none is named, the more important one first. */
export function usualFiles(cwd: string, env: NodeJS.ProcessEnv): ConfigFile[] {
  const project = join(cwd, PROJECT_FILE);
  const files = [{ path: project, name: `./${PROJECT_FILE}`, isProject: true, isNamed: false }];
  const folder = userFolder(env);
  if (folder !== undefined) {
    const path = join(folder, "llm-client", "config.json");
    files.push({ path, name: path, isProject: false, isNamed: false });
  }
  return files;
}

/** The file that was named. */
export function namedFile(name: string, cwd: string): ConfigFile {
  return { path: resolve(cwd, name), name, isProject: false, isNamed: true };
}

/** What a file gives; undefined where there is none and none was named. */
export function readFileLayer(file: ConfigFile, warnings: Set<string>): Layer | undefined {
  const stats = statsOf(file);
  if (!stats) return undefined;
  const values = checkValues(readJson(file, stats), "file", () => `from ${file.name}`);
  if (isOpenToOthers(stats) && holdsSecret(values)) {
    warnings.add(
      `${file.name} holds a key or a password and is open to other users; ` +
        "protect it with chmod 600, or name a variable by apiKeyEnv",
    );
  }
  return {
    values,
    originOf: () => `from ${file.name}`,
    folder: dirname(file.path),
    isFile: true,
    isProject: file.isProject,
  };
}

function userFolder(env: NodeJS.ProcessEnv): string | undefined {
  const { XDG_CONFIG_HOME } = env;
  // The XDG rules want a relative one ignored.
  if (XDG_CONFIG_HOME && isAbsolute(XDG_CONFIG_HOME)) return XDG_CONFIG_HOME;
  const home = env.HOME || env.USERPROFILE || homeOfUser();
  return home && join(home, ".config");
}

function homeOfUser(): string | undefined {
  try {
    return homedir();
  } catch {
    // A user whom the system does not know, as in some containers.
    return undefined;
  }
}

function statsOf(file: ConfigFile): Stats | undefined {
  try {
    return statSync(file.path);
  } catch (error) {
    const isAbsent = ["ENOENT", "ENOTDIR"].includes(String((error as { code?: unknown }).code));
    if (isAbsent && !file.isNamed) return undefined;
    throw unreadable(file, isAbsent ? "does not exist" : describeFailure(error), error);
  }
}

function readJson(file: ConfigFile, stats: Stats): unknown {
  if (stats.isDirectory()) throw unreadable(file, "is a folder");
  if (!stats.isFile()) throw unreadable(file, "is no regular file");
  if (stats.size > MAX_BYTES) {
    throw unreadable(file, `is ${stats.size} bytes long, but at most ${MAX_BYTES} are read`);
  }
  const text = readText(file).replace(/^\uFEFF/, "");
  try {
    return JSON.parse(text);
  } catch {
    // Without the cause: Node's message quotes the text, in which there may be a key.
    const mistake = findJsonMistake(text);
    const place = mistake ? `: see line ${mistake.line}, column ${mistake.column}` : "";
    throw unreadable(file, `is not JSON${place}`);
  }
}

function readText(file: ConfigFile): string {
  try {
    return readFileSync(file.path, "utf8");
  } catch (error) {
    throw unreadable(file, describeFailure(error), error);
  }
}

function describeFailure(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EACCES" || code === "EPERM"
    ? "may not be read by this user"
    : `cannot be read: ${(error as Error).message}`;
}

function unreadable({ name, path }: ConfigFile, why: string, cause?: unknown) {
  return new ConfigurationError(`The configuration file ${name} ${why}.`, { url: path, cause });
}

function isOpenToOthers({ mode }: Stats): boolean {
  // Windows has no such bits.
  return process.platform !== "win32" && (mode & FOR_OTHERS) !== 0;
}

function holdsSecret({ fallbackConfigs = [], ...first }: ConfigValues): boolean {
  return [first, ...fallbackConfigs].some(
    ({ apiKey, baseUrl = "" }) => apiKey !== undefined || PASSWORD.test(baseUrl),
  );
}
