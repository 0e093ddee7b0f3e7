import { createRequire } from "node:module";
import { release } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ProviderUnavailableError } from "../errors.js";
import type { NativeAddon } from "./native-types.js";

/** Why MLX cannot run in this process. */
export interface NativeProblem {
  reason: "unsupported-platform" | "rosetta" | "macos-too-old" | "binary-missing" | "load-failed";
  message: string;
  /** What to do about it. */
  hint: string;
  cause?: unknown;
}

/** Whether MLX models can run in this process, and with which addon file. */
export type NativeAvailability = { ok: true; path: string } | ({ ok: false } & NativeProblem);

/** The machine, as far as it decides whether MLX can run on it. */
export interface Machine {
  platform: string;
  arch: string;
  /** Version of the kernel; macOS 14 has 23. */
  release: string;
  /** True under Rosetta: Intel code on Apple silicon. */
  translated: boolean;
}

type Result = { addon: NativeAddon; path: string } | { problem: NativeProblem };

const require = createRequire(import.meta.url);
// The same two steps up from src/mlx/, dist/esm/, dist/cjs/ and dist/cli/.
const packageFolder = fileURLToPath(new URL("../../", import.meta.url));
const supported = ["darwin-arm64", "linux-x64", "linux-arm64"];
const useAnotherProvider =
  "MLX runs on Apple silicon Macs and on Linux; providers ollama and lmstudio run everywhere.";

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

/**
 * Tells whether the addon loads here and, if not, why and what to do. Never throws.
 * @example const mlx = nativeAvailability(); if (!mlx.ok) console.error(mlx.message, mlx.hint);
 */
export function nativeAvailability(): NativeAvailability {
  result ??= findAndLoad();
  if ("addon" in result) return { ok: true, path: result.path };
  return { ok: false, ...result.problem };
}

function findAndLoad(): Result {
  const problem = machineProblem(thisMachine());
  if (problem) return { problem };
  const path = findAddon();
  if (!path) return { problem: missingBinary() };
  try {
    return { addon: require(path) as NativeAddon, path };
  } catch (cause) {
    return { problem: failedLoad(path, cause) };
  }
}

/** What keeps MLX from running on a machine, whatever is installed there. */
export function machineProblem(machine: Machine): NativeProblem | undefined {
  const name = `${machine.platform}-${machine.arch}`;
  if (machine.translated) {
    return {
      reason: "rosetta",
      message: "MLX cannot run here: this Node is an Intel build running under Rosetta",
      hint: "Install Node for arm64 (Apple silicon) and run npm install again with it.",
    };
  }
  if (!supported.includes(name)) {
    return {
      reason: "unsupported-platform",
      message: `MLX does not run on ${name}, only on ${supported.join(", ")}`,
      hint: useAnotherProvider,
    };
  }
  if (machine.platform === "darwin" && Number.parseInt(machine.release, 10) < 23) {
    return {
      reason: "macos-too-old",
      message: "MLX needs macOS 14 or later",
      hint: `Update macOS. ${useAnotherProvider}`,
    };
  }
  return undefined;
}

function thisMachine(): Machine {
  const { platform, arch } = process;
  const translated = platform === "darwin" && arch === "x64" && runsUnderRosetta();
  return { platform, arch, release: release(), translated };
}

function runsUnderRosetta(): boolean {
  try {
    const { execFileSync } = require("node:child_process") as typeof import("node:child_process");
    const output = execFileSync("sysctl", ["-in", "sysctl.proc_translated"], { encoding: "utf8" });
    return output.trim() === "1";
  } catch {
    return false;
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
    hint: `In a checkout run: npm run build:native. A package made with npm pack holds the addon only after npm run prebuild.`,
  };
}

function failedLoad(path: string, cause: unknown): NativeProblem {
  const why = cause instanceof Error ? cause.message : String(cause);
  return {
    reason: "load-failed",
    message: `The MLX addon does not load: ${why} (${path})`,
    hint:
      process.platform === "linux"
        ? "It needs glibc 2.35 or later (Debian 12, Ubuntu 22.04) and the libraries beside it. In a checkout run: npm run build:native."
        : "The libraries beside it may be missing. In a checkout run: npm run build:native.",
    cause,
  };
}
