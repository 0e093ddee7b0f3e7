// Where the genuine servers of the tests are, and why they may be missing.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/native/tools.mjs";

export const OLLAMA_VERSION = "0.17.4";

const ollamaFolder = join(root, ".cache", "ollama", OLLAMA_VERSION);
const mlxLmFolder = join(root, ".cache", "mlx-lm");

export const ollama = {
  folder: ollamaFolder,
  program: join(ollamaFolder, "ollama"),
  build: "node test/servers/build-ollama.mjs",
};

export const mlxLm = {
  folder: mlxLmFolder,
  program: join(mlxLmFolder, "venv", "bin", "python3"),
  /** Holds the requirements that were installed, once all of them are. */
  stamp: join(mlxLmFolder, "installed.txt"),
  build: "node test/servers/build-mlx-lm.mjs",
};

const managersFolder = join(root, ".cache", "package-managers");

/** pnpm and Bun. */
export const packageManagers = {
  folder: managersFolder,
  program: join(managersFolder, "node_modules", ".bin", "pnpm"),
  /** Holds the lockfile that was installed, once all of it is. */
  stamp: join(managersFolder, "installed.txt"),
  build: "node test/packages/fetch-managers.mjs",
};

/** The file in which a build says why it could not be done. */
export function reasonFile({ folder }) {
  return join(folder, "unavailable.txt");
}

/** Why a server cannot be started here, undefined where it can. */
export function whyMissing(server) {
  const ready = server.stamp ?? server.program;
  if (existsSync(ready) && existsSync(server.program)) return undefined;
  const said = existsSync(reasonFile(server))
    ? readFileSync(reasonFile(server), "utf8")
    : undefined;
  return said ?? `it is not built; ${server.build}`;
}
