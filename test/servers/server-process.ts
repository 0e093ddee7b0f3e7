import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

/** A server that runs as a process of its own. */
export interface ServerProcess {
  pid: number;
  /** The end of what it has printed. */
  output(): string;
  stop(): Promise<void>;
}

const START_LIMIT_MS = 60_000;
const OUTPUT_KEPT = 20_000;

/** Starts a server and waits until it answers at an address; a failure tells what it printed. */
export async function startServerProcess(options: {
  command: string;
  arguments: string[];
  environment: Record<string, string>;
  ready: string;
}): Promise<ServerProcess> {
  const child = spawn(options.command, options.arguments, {
    env: options.environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  let ended: string | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      said = (said + chunk).slice(-OUTPUT_KEPT);
    });
  }
  const end = new Promise<void>((resolve) => {
    const finish = (how: string) => {
      ended ??= how;
      resolve();
    };
    child.once("error", (error) => finish(error.message));
    child.once("close", (code, signal) => finish(`ended with ${code ?? signal}`));
  });
  const stop = async () => {
    if (!ended) child.kill("SIGTERM");
    await Promise.race([end, sleep(5000, undefined, { ref: false })]);
    if (!ended) child.kill("SIGKILL");
    await end;
  };
  const deadline = Date.now() + START_LIMIT_MS;
  while (!(await answers(options.ready))) {
    if (!ended && Date.now() < deadline) await sleep(50);
    else {
      await stop();
      throw new Error(
        `${options.command} does not answer at ${options.ready}: ${ended ?? ""}\n${said}`,
      );
    }
  }
  return { pid: child.pid!, output: () => said, stop };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
