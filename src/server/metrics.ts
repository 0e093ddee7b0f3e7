import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { mlxMemory } from "../index.js";
import type { Gate } from "./gate.js";
import type { RequestRecord } from "./record.js";

const PREFIX = "llm_client_";
/** From a cached prompt to a cold load. */
const FIRST_TOKEN_BUCKETS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300];
const DURATION_BUCKETS = [0.01, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000];

/** What a server counts, for Prometheus. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests;
  readonly #duration;
  readonly #firstToken;
  readonly #tokens;

  constructor(gate: Gate) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#requests = new Counter({
      name: `${PREFIX}requests_total`,
      help: "Requests by endpoint and status; 499 are those whose client has left.",
      labelNames: ["route", "status"] as const,
      registers,
    });
    this.#duration = new Histogram({
      name: `${PREFIX}request_duration_seconds`,
      help: "Time from a request to the last byte of its answer.",
      labelNames: ["route"] as const,
      buckets: DURATION_BUCKETS,
      registers,
    });
    this.#firstToken = new Histogram({
      name: `${PREFIX}first_token_seconds`,
      help: "Time to the first token, loading the model included.",
      labelNames: ["provider", "model"] as const,
      buckets: FIRST_TOKEN_BUCKETS,
      registers,
    });
    this.#tokens = new Counter({
      name: `${PREFIX}tokens_total`,
      help: "Tokens of prompts and replies.",
      labelNames: ["kind", "provider", "model"] as const,
      registers,
    });
    watch("requests_running", "Requests that are answered now.", registers, () => gate.running);
    watch("requests_queued", "Requests that wait for their turn.", registers, () => gate.waiting);
    watchMemory(registers);
  }

  /** Media type of the text. */
  get mediaType(): string {
    return this.#registry.contentType;
  }

  /** All of it, as Prometheus reads it. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Counts a request that is over. */
  count({ route, status, left, startedAt, response }: RequestRecord): void {
    this.#requests.inc({ route, status: left ? 499 : status });
    this.#duration.observe({ route }, (performance.now() - startedAt) / 1000);
    if (!response) return;
    const { provider, model, usage, timings } = response;
    const { firstTokenMs } = timings;
    if (firstTokenMs !== undefined) {
      this.#firstToken.observe({ provider, model }, firstTokenMs / 1000);
    }
    this.#tokens.inc({ kind: "prompt", provider, model }, usage.promptTokens ?? 0);
    this.#tokens.inc({ kind: "cached", provider, model }, usage.cachedTokens ?? 0);
    this.#tokens.inc({ kind: "completion", provider, model }, usage.completionTokens ?? 0);
  }
}

function watch(name: string, help: string, registers: Registry[], value: () => number): void {
  new Gauge({
    name: PREFIX + name,
    help,
    registers,
    collect() {
      this.set(value());
    },
  });
}

function watchMemory(registers: Registry[]): void {
  new Gauge({
    name: `${PREFIX}mlx_memory_bytes`,
    help: "Memory of MLX in this process, once it was needed.",
    labelNames: ["kind"] as const,
    registers,
    collect() {
      for (const [kind, bytes] of Object.entries(mlxMemory() ?? {})) this.set({ kind }, bytes);
    },
  });
}
