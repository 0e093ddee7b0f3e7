// The processes of a benchmark: the server on one core, the client on another, where that can be had.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { probe, root } from "../../scripts/native/tools.mjs";

const canPin = availableParallelism() > 1 && probe("taskset", ["-c", "0,1", "true"]) !== undefined;

function command(core, args) {
  return canPin
    ? ["taskset", ["-c", String(core), process.execPath, ...args]]
    : [process.execPath, args];
}

/** Starts the server; resolves with its address. */
export async function startServer() {
  const args = command(0, [join(root, "bench", "http", "server.mjs")]);
  const child = spawn(...args, { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  return { url: String(line).trim(), close: () => child.stdin.end() };
}

/** Runs Node on the core of the client; resolves with its output. */
export async function runClient(args) {
  return (await promisify(execFile)(...command(1, args))).stdout;
}

/** Runs Node on any core, where no configuration file is near. */
export async function runAnywhere(args, environment) {
  const env = { ...process.env, XDG_CONFIG_HOME: tmpdir(), ...environment };
  await promisify(execFile)(process.execPath, args, { cwd: tmpdir(), env });
}
