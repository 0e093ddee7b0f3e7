import { memoryLimitOf } from "./model-memory.js";
import { failedLoad, locateAddon } from "./native.js";
import type { NativeProblem } from "./machine.js";
import type { NativeAddon, NativeDevice } from "./native-types.js";

/** What an addon tells of itself. */
export interface AddonFacts {
  /** Its file. */
  path: string;
  /** Version of MLX. */
  mlx: string;
  /** Version of mlx-c. */
  mlxC: string;
  /** Version of the library that keeps replies within grammars; absent where it was left out. */
  llguidance?: string;
  /** Where MLX computes. */
  device: NativeDevice;
  /** Bytes that models may take. */
  memoryLimit: number;
}

/** What came of loading the addon. */
export type AddonProbe = { facts: AddonFacts } | { problem: NativeProblem; path?: string };

type Told = { error: string } | (ReturnType<NativeAddon["version"]> & { device: NativeDevice });

/** Runs in a process of its own. */
const PROGRAM = `
try {
  const addon = require(process.argv[1]);
  process.send({ ...addon.version(), device: addon.device() });
} catch (error) {
  process.send({ error: error.message });
}`;
const LONGEST_MS = 60_000;
const LONGEST_LINE = 300;

/** Loads the addon in another process: a damaged one may end the process that loads it. */
export async function probeAddon(): Promise<AddonProbe> {
  const place = locateAddon();
  if ("problem" in place) return place;
  const { path } = place;
  const told = await loadElsewhere(path);
  if ("error" in told) return { path, problem: failedLoad(path, told.error) };
  return { facts: { path, ...told, memoryLimit: memoryLimitOf(told.device) } };
}

/** Never rejects. */
async function loadElsewhere(path: string): Promise<Told> {
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, ["-e", PROGRAM, path], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    timeout: LONGEST_MS,
    killSignal: "SIGKILL",
    // Where Electron runs this, its file is no Node otherwise.
    env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" },
  });
  let told: Told | undefined;
  let said = "";
  child.on("message", (message) => {
    told = message as Told;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-LONGEST_LINE);
  });
  return new Promise((resolve) => {
    child.on("error", ({ message }) => resolve({ error: message }));
    child.on("close", (code, signal) => {
      const failed = { error: `it ended the process that loaded it: ${endOf(code, signal, said)}` };
      resolve(code === 0 && told ? told : failed);
    });
  });
}

function endOf(code: number | null, signal: string | null, said: string): string {
  const end = signal ?? `exit code ${code}`;
  const last = said.trim().split("\n").at(-1);
  return last ? `${end}, ${last}` : end;
}
