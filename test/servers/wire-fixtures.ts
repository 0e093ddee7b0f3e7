import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { PartKind, Reply } from "./wire-reply.js";

const FOLDER = fileURLToPath(new URL("../fixtures/wire/", import.meta.url));

const TYPES: Record<string, string> = {
  ndjson: "application/x-ndjson",
  sse: "text/event-stream",
  json: "application/json; charset=utf-8",
};

/** The bytes of a recorded or documented reply, such as "ollama/0.17.4/chat.ndjson". */
export function readWireFixture(name: string): Buffer {
  return readFileSync(`${FOLDER}${name}`);
}

/** A fixture as a reply, in parts: its lines or its events. */
export function recordedReply(name: string): Reply {
  const extension = name.slice(name.lastIndexOf(".") + 1);
  const text = readWireFixture(name).toString();
  const lines = text.match(extension === "sse" ? /[\s\S]+?\n\n/g : /[^\n]*\n|[^\n]+$/g) ?? [];
  return {
    status: 200,
    headers: { "Content-Type": TYPES[extension] ?? "text/plain" },
    parts: lines.map((bytes) => ({ kind: kindOf(bytes), bytes })),
    streamed: extension !== "json",
  };
}

function kindOf(line: string): PartKind {
  if (line.includes("[DONE]")) return "done";
  if (line.includes('"choices":[]')) return "usage";
  return /"done":true|"finish_reason":"/.test(line) ? "finish" : "content";
}
