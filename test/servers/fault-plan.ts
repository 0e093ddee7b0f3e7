import type { Socket } from "node:net";
import type { Exchange } from "./exchange.js";
import type { RecordedRequest } from "./fake-server.js";
import { FAULTS, type FaultName } from "./faults.js";
import type { Fault, FaultSettings, Stage } from "./faults/fault.js";
import type { Reply } from "./wire-reply.js";

interface Planned {
  fault: Fault;
  settings: FaultSettings;
  at: Stage | undefined;
  left: number;
}

/** The faults that are still to strike, in their order; each request meets one at most. */
export class FaultPlan {
  private planned: Planned[] = [];

  add(name: FaultName, settings: FaultSettings): void {
    const fault: Fault = FAULTS[name];
    const at = settings.at ?? fault.stages[0];
    if (settings.at && !fault.stages.includes(settings.at)) {
      throw new Error(
        `The fault "${name}" cannot strike at "${settings.at}": ${fault.description}.`,
      );
    }
    this.planned.push({ fault, settings, at, left: settings.times ?? Number.POSITIVE_INFINITY });
  }

  clear(): void {
    this.planned = [];
  }

  /** Takes the fault that this request meets, if any. */
  take(request: RecordedRequest, earlier: RecordedRequest[]): Strike | undefined {
    const next = this.planned.find(
      (each) =>
        each.left > 0 &&
        concerns(each.settings, request) &&
        (each.fault.applies?.(request, earlier) ?? true),
    );
    if (!next) return undefined;
    next.left--;
    return new Strike(next);
  }

  /** Strikes a new connection, where a fault means all requests and needs none of them. */
  strikeConnection(socket: Socket): void {
    const next = this.planned.find((each) => each.left > 0);
    if (next?.at !== "connect" || next.settings.on !== "everything") return;
    if (!next.fault.strikeConnection) return;
    next.left--;
    next.fault.strikeConnection(socket);
  }
}

/** A fault that meets one request. */
export class Strike {
  constructor(private readonly planned: Planned) {}

  get settings(): FaultSettings {
    return this.planned.settings;
  }

  change(reply: Reply, request: RecordedRequest): Reply {
    return this.planned.fault.change?.(reply, this.settings, request) ?? reply;
  }

  async strike(stage: Stage, exchange: Exchange, reply?: Reply): Promise<void> {
    if (stage === this.planned.at)
      await this.planned.fault.strike?.(exchange, this.settings, reply);
  }

  afterwards(exchange: Exchange): void {
    this.planned.fault.afterwards?.(exchange, this.settings);
  }
}

function concerns({ on = "chat" }: FaultSettings, { path }: RecordedRequest): boolean {
  if (on === "everything") return true;
  return on === "chat" ? /\/chat(\/completions)?$/.test(path) : path.startsWith(on);
}
