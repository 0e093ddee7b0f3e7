import { type Part, type Reply, mapText } from "../wire-reply.js";
import type { Fault } from "./fault.js";

const ONCE_STARTED = ["mid-stream", "first-content", "end"] as const;

/** Faults of what a stream says, and ways of saying it that are allowed but rare. */
export const streamFaults = {
  "error-event": {
    description:
      "the stream reports an error (message) under status 200, then ends without a finish",
    stages: ONCE_STARTED,
    strike: async (exchange, { message = "the model runner has stopped" }, reply) => {
      await exchange.send(reply?.errorPart?.(message) ?? "");
      if (reply?.streamed) exchange.end();
      else exchange.cut();
    },
  },
  garbage: {
    description: "a line is no JSON, then all goes on",
    stages: ONCE_STARTED,
    strike: (exchange, _, reply) => exchange.send(reply?.linePart?.('{"model": oops') ?? "oops"),
  },
  "zero-deltas": {
    description: "a stream under status 200 without any content and without a finish",
    stages: [],
    change: (reply) => keep(reply, "start", "done"),
  },
  "empty-finish": {
    description: "a stream without any content that finishes as if all were well",
    stages: [],
    change: (reply) => keep(reply, "start", "finish", "usage", "done"),
  },
  "finish-without-done": {
    description: "a finish, but no [DONE] (server-sent events only)",
    stages: [],
    change: (reply) =>
      reply.streamed ? keep(reply, "start", "content", "finish", "usage") : reply,
  },
  "done-without-finish": {
    description: "[DONE] after the content, but no finish (server-sent events only)",
    stages: [],
    change: (reply) => (reply.streamed ? keep(reply, "start", "content", "done") : reply),
  },
  "no-usage": {
    description: "no count of tokens anywhere",
    stages: [],
    change: (reply) =>
      mapText(keep(reply, "start", "content", "finish", "done"), (text) =>
        text.replaceAll(
          /,"(usage":\{[^{}]*(\{[^{}]*\})?[^{}]*\}|(prompt_eval|eval)_count":\d+)/g,
          "",
        ),
      ),
  },
  "late-usage": {
    description: "the count of tokens comes well after the finish (ms, 200)",
    stages: [],
    change: (reply, { ms = 200 }) => ({
      ...reply,
      parts: reply.parts.map((part) => (part.kind === "usage" ? { ...part, delayMs: ms } : part)),
    }),
  },
  "other-model": {
    description: 'the reply comes from another model, "another-model"',
    stages: [],
    change: (reply) =>
      mapText(reply, (text) =>
        text.replace(/"(model|system_fingerprint)":"(?!fp_)[^"]*"/g, '"$1":"another-model"'),
      ),
  },
  "tool-index-zero": {
    description: "every tool call says that its index is 0, as from older servers",
    stages: [],
    change: (reply) =>
      mapText(reply, (text) =>
        text.replace(/("(?:function|tool_calls)":\[?\{(?:"id":"[^"]*",)?"index":)\d+/g, "$10"),
      ),
  },
  "tool-ids-missing": {
    description: "no tool call has an id",
    stages: [],
    change: (reply) => mapText(reply, (text) => text.replace(/"id":"(call_\w+|\d{9})",/g, "")),
  },
  "split-bytes": {
    description: "each byte is sent alone, so that characters and line ends are split",
    stages: [],
    change: (reply) => ({
      ...reply,
      parts: reply.parts.flatMap(({ bytes, ...part }) =>
        [...Buffer.from(bytes)].map((byte): Part => ({ ...part, bytes: Buffer.from([byte]) })),
      ),
    }),
  },
  crlf: {
    description: "lines end with CR LF",
    stages: [],
    change: (reply) => mapText(reply, (text) => text.replaceAll("\n", "\r\n")),
  },
  cr: {
    description: "lines end with CR alone (server-sent events only)",
    stages: [],
    change: (reply) =>
      isEvents(reply) ? mapText(reply, (text) => text.replaceAll("\n", "\r")) : reply,
  },
  bom: {
    description: "a byte order mark comes first",
    stages: [],
    change: (reply) =>
      mapText(reply, (text, part) => (part === reply.parts[0] ? `\uFEFF${text}` : text)),
  },
  comments: {
    description: "comment lines between events, blank lines between JSON lines",
    stages: [],
    change: (reply) =>
      mapText(reply, (text) => (isEvents(reply) ? `: keepalive\n\n${text}` : `\n${text}`)),
  },
  "no-space": {
    description: 'no space after "data:" (server-sent events only)',
    stages: [],
    change: (reply) => mapText(reply, (text) => text.replace(/^data: /, "data:")),
  },
} satisfies Record<string, Fault>;

function keep(reply: Reply, ...kinds: Part["kind"][]): Reply {
  return reply.streamed
    ? { ...reply, parts: reply.parts.filter((part) => kinds.includes(part.kind)) }
    : reply;
}

function isEvents(reply: Reply): boolean {
  return reply.headers["Content-Type"]?.startsWith("text/event-stream") ?? false;
}
