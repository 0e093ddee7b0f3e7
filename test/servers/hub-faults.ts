import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** The ways in which a fake Hub fails; the last two are for the listing too. */
export const HUB_FAULTS = [
  "cut",
  "corrupt",
  "short",
  "hang",
  "no-ranges",
  "busy",
  "loop",
  "html",
] as const;

/** One of them. */
export type HubFault = (typeof HUB_FAULTS)[number];

interface Planned {
  fault: HubFault;
  times: number;
  path: RegExp;
}

/** Which request fails, and how: what was planned, else by a chance that a seed decides. */
export class HubFaults {
  readonly #planned: Planned[] = [];
  #chance: { share: number; kinds: readonly HubFault[] } | undefined;
  #state = 1;

  /** Lets the next requests for a path fail. */
  plan(fault: HubFault, { times = 1, path = /resolve|^\/[0-9a-f]{64}/ } = {}): this {
    this.#planned.push({ fault, times, path });
    return this;
  }

  /** Lets this share of all requests for files fail. */
  byChance(seed: number, share: number, kinds: readonly HubFault[]): this {
    this.#state = seed;
    this.#chance = { share, kinds };
    return this;
  }

  clear(): void {
    this.#planned.length = 0;
    this.#chance = undefined;
  }

  take(path: string): HubFault | undefined {
    const planned = this.#planned.find((each) => each.times > 0 && each.path.test(path));
    if (planned) planned.times -= 1;
    if (planned || !this.#chance || /^\/api\//.test(path)) return planned?.fault;
    const { share, kinds } = this.#chance;
    return this.random() < share ? kinds[Math.floor(this.random() * kinds.length)] : undefined;
  }

  /** The same numbers for the same seed, from 0 to 1 (mulberry32). */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

interface Sending {
  fault: HubFault | undefined;
  faults: HubFaults;
  /** Bytes per second. */
  pace: number | undefined;
}

const PIECE = 16 * 1024;

/** Sends a content, or the range of it that was asked for, or fails at some byte. */
export async function sendBody(
  response: ServerResponse,
  content: Buffer,
  request: { headers: { range?: string; "if-range"?: string }; sent: number },
  { fault, faults, pace }: Sending,
): Promise<void> {
  const { range, "if-range": ifRange } = request.headers;
  const isSame = ifRange === undefined || ifRange === response.getHeader("etag");
  const wanted = fault !== "no-ranges" && isSame ? /^bytes=(\d+)-$/.exec(range ?? "") : null;
  const start = Number(wanted?.[1] ?? 0);
  if (wanted && start >= content.length) return void response.writeHead(416).end();
  let body = Buffer.from(content.subarray(start));
  const place = Math.floor(faults.random() * body.length);
  if (fault === "corrupt" && body.length > 0) body[place]! ^= 0xff;
  if (fault === "short") body = body.subarray(0, place);
  else response.setHeader("content-length", body.length);
  if (wanted) {
    response.setHeader("content-range", `bytes ${start}-${content.length - 1}/${content.length}`);
  }
  response.writeHead(wanted ? 206 : 200);
  response.flushHeaders();
  const end = fault === "cut" || fault === "hang" ? place : body.length;
  for (let at = 0; at < end && !response.destroyed; at += PIECE) {
    const piece = body.subarray(at, Math.min(at + PIECE, end));
    await new Promise<unknown>((resolve) => response.write(piece, resolve));
    request.sent += piece.length;
    if (pace !== undefined) await sleep((piece.length / pace) * 1000);
  }
  if (fault === "cut") response.destroy();
  else if (fault !== "hang") response.end();
}
