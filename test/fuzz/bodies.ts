import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import type { LLMClient, LLMRequest } from "../../src/index.js";
import { checkRequest } from "../../src/request.js";
import { createApp } from "../../src/server/app.js";
import { Gate } from "../../src/server/gate.js";
import { Metrics } from "../../src/server/metrics.js";
import { checkOptions } from "../../src/server/options.js";

const PATHS = [
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/responses",
  "/v1/messages",
  "/api/chat",
  "/api/generate",
  "/api/show",
  "/v1/embeddings",
];

/** Takes what was asked for good, and says nothing. */
const client = {
  generate(request: LLMRequest) {
    JSON.stringify(checkRequest(request));
    return Promise.resolve({
      ...{ content: "Hi", model: "m", finishReason: "stop", responseId: "1", provider: "mlx" },
      ...{ usage: {}, warnings: [], attempts: [], timings: {}, requestId: request.requestId },
    });
  },
  async *stream(request: LLMRequest) {
    yield { type: "start", provider: "mlx", model: "m", warnings: [] };
    yield { type: "finish", response: await client.generate(request) };
  },
  listModels: () => Promise.resolve([]),
  showModel: () => Promise.resolve({ id: "m", provider: "mlx", object: "model" }),
  loadModel: () => Promise.resolve(),
  unloadModel: () => Promise.resolve(),
  embed: () => Promise.resolve({ embeddings: [[1]], model: "m", usage: {} }),
} as unknown as LLMClient;

const settings = checkOptions({});
const gate = new Gate(1, 1);
const app = createApp({
  ...{ client, settings, gate, metrics: new Metrics(gate) },
  ...{ stopping: new AbortController().signal, isClosing: false },
});

/** A request's body, after a byte that chooses the endpoint. */
export async function answerBody(data: Buffer): Promise<void> {
  const path = PATHS[(data[0] ?? 0) % PATHS.length]!;
  const incoming = Object.assign(Readable.from([data.subarray(1)]), { headers: {} });
  const outgoing = Object.assign(new EventEmitter(), { writableFinished: true });
  const request = new Request(`http://localhost${path}`, {
    method: "POST",
    headers: { host: "localhost" },
  });
  const response = await app.fetch(request, { incoming, outgoing });
  const text = await response.text();
  outgoing.emit("close");
  if (text.includes('"internal"')) throw new Error(`${path} failed: ${text}`);
}
