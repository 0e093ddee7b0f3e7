import type { Fault } from "./fault.js";

const ANY_STAGE = ["mid-stream", "connect", "load", "first-content", "end"] as const;
const ONCE_STARTED = ["mid-stream", "first-content", "end"] as const;

/** Faults of connections and of time: nothing is said about what went wrong. */
export const transportFaults = {
  "connection-refused": {
    description: "nobody listens; clearFaults() listens again at the same port",
    stages: ["connect"],
  },
  "never-answers": {
    description: "the connection is accepted, the request is read, nothing is answered",
    stages: ["connect"],
    strike: (exchange) => exchange.untilGone(),
  },
  "delayed-headers": {
    description: "the headers come late (ms, 300), as from Ollama while it loads a model",
    stages: ["load"],
    strike: (exchange, { ms = 300 }) => exchange.pause(ms),
  },
  "headers-then-silence": {
    description: "the headers come, then nothing, as from LM Studio while it reads a prompt",
    stages: ["first-content"],
    strike: (exchange) => exchange.untilGone(),
  },
  silence: {
    description: "nothing more comes, and the connection stays open",
    stages: ANY_STAGE,
    strike: (exchange) => exchange.untilGone(),
  },
  pause: {
    description: "nothing comes for a while (ms, 300), then all goes on",
    stages: ANY_STAGE,
    strike: (exchange, { ms = 300 }) => exchange.pause(ms),
  },
  "slow-drip": {
    description: "each piece of content comes late (ms, 100)",
    stages: [],
    change: (reply, { ms = 100 }) => ({
      ...reply,
      parts: reply.parts.map((part) => (part.kind === "content" ? { ...part, delayMs: ms } : part)),
    }),
  },
  reset: {
    description: "the connection is reset (RST), in the middle of a chunk once a stream has begun",
    stages: ANY_STAGE,
    strike: (exchange, _, reply) => exchange.reset(reply),
    strikeConnection: (socket) => socket.resetAndDestroy(),
  },
  cut: {
    description: "the connection is closed (FIN) without the end of the body",
    stages: ANY_STAGE,
    strike: (exchange) => exchange.cut(),
    strikeConnection: (socket) => socket.destroy(),
  },
  eof: {
    description: "the body ends as it should, but without a finish; a whole body is cut",
    stages: ONCE_STARTED,
    strike: (exchange, _, reply) => (reply?.streamed ? exchange.end() : exchange.cut()),
  },
  "reused-socket-dies": {
    description:
      "the first request of a connection is served, the next one meets a reset before any byte",
    stages: ["connect"],
    applies: (request, earlier) =>
      earlier.some((other) => other !== request && other.connection === request.connection),
    strike: (exchange) => exchange.reset(),
  },
  "keep-alive-closed": {
    description:
      "a connection that is idle for a while (ms, 50) is closed, though more was promised",
    stages: [],
    change: (reply) => ({ ...reply, headers: { ...reply.headers, "Keep-Alive": "timeout=5" } }),
    afterwards: ({ socket }, { ms = 50 }) => {
      socket.setTimeout(ms, () => socket.destroySoon());
    },
  },
  "endless-line": {
    description: "a line without end; it stops when the client leaves, or after 256 MiB",
    stages: ONCE_STARTED,
    strike: async (exchange, _, reply) => {
      const block = Buffer.alloc(1 << 20, "x");
      if (reply?.streamed) await exchange.send('data: {"text":"');
      for (let sent = 0; sent < 256 && !exchange.over; sent++) await exchange.send(block);
    },
  },
} satisfies Record<string, Fault>;
