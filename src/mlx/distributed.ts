import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import * as z from "zod/mini";
import { untilAborted } from "../abort.js";
import { ConfigurationError } from "../errors.js";
import { check, describeProblem } from "../validation.js";
import { loadNative } from "./native.js";
import type { NativeGroup } from "./native-types.js";

type Environment = Record<string, string | undefined>;

const PORT = /:([1-9]\d{0,4})$/;
const address = '"address:port"';
const addresses = `a list of ${address}`;
const host = z.array(z.string(address).check(z.regex(PORT, address)), addresses);
const hosts = z.array(host.check(z.minLength(1, addresses)), "a list of hosts");
const devices = z.array(z.array(z.nullable(z.string()), "a list of devices"), "a list of hosts");

/**
 * The processes that share a model, as mlx.launch tells each of them by environment variables;
 * undefined where there is only one. Throws a `ConfigurationError` that names the wrong variable.
 */
export async function readGroup(environment: Environment): Promise<NativeGroup | undefined> {
  const { MLX_HOSTFILE, MLX_IBV_DEVICES } = environment;
  if (MLX_HOSTFILE !== undefined) return readRing(MLX_HOSTFILE, environment);
  if (MLX_IBV_DEVICES !== undefined) return readJaccl(MLX_IBV_DEVICES, environment);
  throw wrong("Neither MLX_HOSTFILE nor MLX_IBV_DEVICES is set");
}

async function readRing(file: string, environment: Environment): Promise<NativeGroup | undefined> {
  const list = await readList("MLX_HOSTFILE", file, hosts);
  const size = list.length;
  if (size < 2) return undefined;
  const rank = readRank(environment, size);
  const [ports, nextPorts] = [rank, (rank + 1) % size].map((host) => list[host]!.map(portOf));
  return { backend: "ring", rank, size, ports: ports!, nextPorts: nextPorts! };
}

async function readJaccl(file: string, environment: Environment): Promise<NativeGroup | undefined> {
  const { length: size } = await readList("MLX_IBV_DEVICES", file, devices);
  if (size < 2) return undefined;
  const rank = readRank(environment, size);
  if (!environment.MLX_JACCL_COORDINATOR) throw wrong("MLX_JACCL_COORDINATOR is not set");
  return { backend: "jaccl", rank, size, ports: [], nextPorts: [] };
}

function readRank({ MLX_RANK: rank }: Environment, size: number): number {
  const allowed = `a whole number from 0 to ${size - 1}`;
  if (rank === undefined) throw wrong(`MLX_RANK is not set, but must be ${allowed}`);
  if (/^\d{1,9}$/.test(rank) && Number(rank) < size) return Number(rank);
  throw wrong(`MLX_RANK is "${rank}", but must be ${allowed}`);
}

async function readList<T>(name: string, file: string, schema: z.ZodMiniType<T[]>): Promise<T[]> {
  let value: unknown;
  try {
    // For a single host mlx.launch writes nothing into it.
    value = JSON.parse((await readFile(file, "utf8")).trim() || "[]");
  } catch (cause) {
    throw wrong(
      `${name} names ${file}, which cannot be read as JSON: ${(cause as Error).message}`,
      cause,
    );
  }
  const checked = check(schema, value);
  if (!checked.problems) return checked.value;
  throw wrong(`${name} names ${file}, in which ${describeProblem(checked.problems[0]!)}`);
}

function portOf(address: string): number {
  return Number(PORT.exec(address)![1]);
}

function wrong(message: string, cause?: unknown): ConfigurationError {
  const hint = "Start every process with mlx.launch, or set what it sets: see docs/distributed.md.";
  return new ConfigurationError(`${message}.`, { hint, cause });
}

/** A number that is the same in two processes which were given the same. */
export function digestOf(...given: unknown[]): number {
  const hash = createHash("sha256").update(JSON.stringify(given));
  return hash.digest().readUInt32LE() >>> 1;
}

/** How long the other processes may take to hear that a call was aborted. */
const GRACE_MS = 5000;

let lastTurn: Promise<unknown> = Promise.resolve();

/**
 * Waits until nothing else is computed together with other processes, for they all must do so in
 * the same order. Call what it returns once the work is over. Aborted work that still waits for
 * another process then waits no longer.
 */
export async function takeTurn(signal: AbortSignal): Promise<() => void> {
  const before = lastTurn;
  let next = () => {};
  lastTurn = new Promise<void>((resolve) => {
    next = resolve;
  });
  try {
    await untilAborted(before, signal);
  } catch (error) {
    before.then(next);
    throw error;
  }
  let patience: NodeJS.Timeout | undefined;
  const abort = () => {
    patience = setTimeout(() => loadNative().leaveGroup(), GRACE_MS);
  };
  signal.addEventListener("abort", abort);
  return () => {
    signal.removeEventListener("abort", abort);
    clearTimeout(patience);
    next();
  };
}
