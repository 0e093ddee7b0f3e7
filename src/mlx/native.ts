import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ProviderUnavailableError } from "../errors.js";
import {
  libraryProblem,
  machineProblem,
  type NativeProblem,
  thisLibrary,
  thisMachine,
} from "./machine.js";
import type { NativeAddon } from "./native-types.js";

/** Whether MLX models can run in this process, and with which addon file. */
export type NativeAvailability = { ok: true; path: string } | ({ ok: false } & NativeProblem);

/** The file of the addon, or why there is none for this machine. */
export type AddonPlace = { path: string } | { problem: NativeProblem };

type Result = { addon: NativeAddon; path: string } | { problem: NativeProblem };

const require = createRequire(import.meta.url);
// The same two steps up from src/mlx/, dist/esm/, dist/cjs/ and dist/cli/.
const packageFolder = fileURLToPath(new URL("../../", import.meta.url));
let result: Result | undefined;

/**
 * Loads the addon at the first call; throws a `ProviderUnavailableError` where that is not possible.
 * @example loadNative().version().mlx
 */
export function loadNative(): NativeAddon {
  result ??= findAndLoad();
  if ("addon" in result) return result.addon;
  const { message, hint, cause } = result.problem;
  throw new ProviderUnavailableError(message, { provider: "mlx", hint, cause });
}

/** The addon, if it has been loaded: to ask it something that is not worth loading it for. */
export function loadedNative(): NativeAddon | undefined {
  return result && "addon" in result ? result.addon : undefined;
}

/**
 * Tells whether the addon loads here and, if not, why and what to do. Never throws.
 * @example const mlx = nativeAvailability(); if (!mlx.ok) console.error(mlx.message, mlx.hint);
 */
export function nativeAvailability(): NativeAvailability {
  result ??= findAndLoad();
  if ("addon" in result) return { ok: true, path: result.path };
  return { ok: false, ...result.problem };
}

/** Looks for the addon, without loading it. */
export function locateAddon(): AddonPlace {
  const problem = machineProblem(thisMachine());
  if (problem) return { problem };
  const path = findAddon();
  return path ? { path } : { problem: libraryProblem(thisLibrary()) ?? missingBinary() };
}

function findAndLoad(): Result {
  const place = locateAddon();
  if ("problem" in place) return place;
  const { path } = place;
  try {
    return { addon: require(path) as NativeAddon, path };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return { problem: failedLoad(path, why, cause) };
  }
}

/** The addon in the platform's own package, else in this one: built here, or in prebuilds/. */
function findAddon(): string | undefined {
  const nodeGypBuild = require("node-gyp-build") as { resolve(folder: string): string };
  for (const folder of [platformPackage(), packageFolder]) {
    try {
      if (folder) return nodeGypBuild.resolve(folder);
    } catch {
      // Not in this folder; the next one may have it.
    }
  }
  return undefined;
}

function platformPackage(): string | undefined {
  const name = `@mlx-llm-client/${process.platform}-${process.arch}`;
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

function missingBinary(): NativeProblem {
  return {
    reason: "binary-missing",
    message: `The MLX addon for ${process.platform}-${process.arch} is not installed`,
    hint: `${howToInstall()} Providers ollama and lmstudio run without it.`,
  };
}

/** What is said of an addon that does not load. */
export function failedLoad(path: string, why: string, cause?: unknown): NativeProblem {
  return {
    reason: "load-failed",
    message: `The MLX addon does not load: ${why} (${path})`,
    hint: `It, or a library beside it, is missing or damaged. ${howToInstall()}`,
    ...libraryProblem(thisLibrary()),
    cause,
  };
}

/** Whoever has the sources builds it; others have it from the platform's package. */
function howToInstall(): string {
  if (existsSync(join(packageFolder, "CMakeLists.txt"))) return "Build it: npm run build:native.";
  const name = `@mlx-llm-client/${process.platform}-${process.arch}`;
  return `It comes with the optional package ${name}: run npm install --include=optional; if npm leaves it out, delete node_modules and package-lock.json first (a lockfile of another system lacks it).`;
}
