import { type ChildProcess, execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { addonFile } from "./native.js";

/** How a program ended and what it printed. */
export interface ProgramResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs a file of test/fixtures/programs with the addon's file as its first argument. */
export function runProgram(name: string, ...programArguments: string[]): Promise<ProgramResult> {
  return startProgram(name, ...programArguments).result;
}

/** The same, with the process at hand. */
export function startProgram(
  name: string,
  ...programArguments: string[]
): { child: ChildProcess; result: Promise<ProgramResult> } {
  const file = fileURLToPath(new URL(`../fixtures/programs/${name}`, import.meta.url));
  let resolve: (result: ProgramResult) => void;
  const result = new Promise<ProgramResult>((settle) => {
    resolve = settle;
  });
  const child: ChildProcess = execFile(
    process.execPath,
    ["--expose-gc", file, addonFile(), ...programArguments],
    (_, stdout, stderr) => {
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr });
    },
  );
  return { child, result };
}
