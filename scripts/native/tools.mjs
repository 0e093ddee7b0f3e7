// Running programs, and saying how to get the ones that are missing.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");

/** A failure whose message is all the reader needs; no stack is shown. */
export class BuildError extends Error {}

const howToGet = {
  "python3 with pip": { debian: "apt-get install python3-pip", macos: "brew install python" },
  cmake: { debian: "apt-get install cmake", macos: "brew install cmake" },
  cargo: { debian: "rustup (cargo 1.85 or later)", macos: "brew install rust, or rustup" },
  "a C++ compiler": { debian: "apt-get install g++ make", macos: "xcode-select --install" },
};

export function missingTool(tool, purpose) {
  const { debian, macos } = howToGet[tool];
  return new BuildError(
    `${tool} is missing; it is needed ${purpose}.\n  Debian, Ubuntu: ${debian}\n  macOS: ${macos}`,
  );
}

/** A step's name, on stderr: stdout belongs to content. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Whether a program is there and succeeds with these arguments. */
export function works(command, args) {
  return probe(command, args) !== undefined;
}

/** The output of a program, or undefined if it is not there or fails. */
export function probe(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8", cwd: root });
  return result.status === 0 ? result.stdout : undefined;
}

/** Runs a program quietly; if it fails, shows the end of what it said. */
export function run(command, args, { purpose = command, input, env } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env,
    input,
    maxBuffer: 1 << 28,
  });
  if (result.error)
    throw new BuildError(`${purpose}: cannot run ${command} (${result.error.code})`);
  if (result.status !== 0) {
    const said = `${result.stdout}${result.stderr}`.trimEnd().split("\n").slice(-60).join("\n");
    throw new BuildError(`${said}\n\n${purpose} failed`);
  }
  return result.stdout;
}

/** Runs the main function of a script: a BuildError becomes its message and exit code 1. */
export function main(task) {
  try {
    task();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}
