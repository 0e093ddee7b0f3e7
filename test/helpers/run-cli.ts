import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built command, as users run it. */
export const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface CliResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  /** Text piped into the command; without it stdin is empty and not a pipe. */
  input?: string;
  /** A pipe for stdin that stays open, as other programs leave it. */
  openStdin?: boolean;
  env?: Record<string, string>;
  /** Called with the process, for example to end it. */
  with?: (child: ChildProcess) => void;
  /** Another copy of the command. */
  file?: string;
}

/** Runs the built command and waits for its end. */
export function runCli(args: string[], options: CliOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [options.file ?? CLI, ...args], {
    env: { PATH: process.env.PATH ?? "", ...options.env },
    stdio: [options.input === undefined && !options.openStdin ? "ignore" : "pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  // The command may end before it has read everything.
  child.stdin?.on("error", () => {});
  if (!options.openStdin) child.stdin?.end(options.input);
  options.with?.(child);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
