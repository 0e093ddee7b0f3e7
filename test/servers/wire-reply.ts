/** What a piece of a reply is, so that a fault can be put between two of them. */
export type PartKind = "start" | "content" | "finish" | "usage" | "done";

/** A piece of a reply, sent as one write. */
export interface Part {
  kind: PartKind;
  bytes: string | Buffer;
  delayMs?: number;
}

/** A reply before it is sent: faults change it, or strike between its parts. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  parts: Part[];
  /** Work of the server before it sends its headers, as Ollama's loading. */
  beforeHeadersMs?: number;
  /** A whole body announces its length; a stream is sent in chunks. */
  streamed: boolean;
  /** How this kind of stream reports an error in its middle. */
  errorPart?: (message: string) => string;
  /** How this kind of stream wraps one line of data. */
  linePart?: (line: string) => string;
}

/** A reply with a whole body: half of it, the rest, and its last byte count as three parts. */
export function wholeReply(status: number, type: string, body: string | Buffer): Reply {
  const bytes = Buffer.from(body);
  const [half, end] = [Math.floor(bytes.length / 2), Math.max(0, bytes.length - 1)];
  const part = (kind: PartKind, from: number, to?: number) => ({
    kind,
    bytes: bytes.subarray(from, to),
  });
  const parts = [part("content", 0, half), part("content", half, end), part("done", end)];
  return {
    status,
    headers: type ? { "Content-Type": type } : {},
    parts: parts.filter((each) => each.bytes.length > 0),
    streamed: false,
  };
}

/** A reply of one JSON value. */
export function jsonReply(status: number, value: unknown): Reply {
  return wholeReply(status, "application/json; charset=utf-8", JSON.stringify(value));
}

/** A stream of JSON lines, as Ollama's own endpoints send it. */
export function linesReply(parts: { kind: PartKind; value: unknown; delayMs?: number }[]): Reply {
  const linePart = (line: string) => `${line}\n`;
  return {
    status: 200,
    headers: { "Content-Type": "application/x-ndjson" },
    parts: parts.map(({ value, ...part }) => ({ ...part, bytes: linePart(JSON.stringify(value)) })),
    streamed: true,
    linePart,
    errorPart: (error) => linePart(JSON.stringify({ error })),
  };
}

/** A stream of server-sent events; the value of a part may be text such as [DONE]. */
export function eventsReply(
  parts: { kind: PartKind; value: unknown; delayMs?: number }[],
  errorPart: (message: string) => string,
): Reply {
  const linePart = (line: string) => `data: ${line}\n\n`;
  const line = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return {
    status: 200,
    headers: { "Content-Type": "text/event-stream" },
    parts: parts.map(({ value, ...part }) => ({ ...part, bytes: linePart(line(value)) })),
    streamed: true,
    linePart,
    errorPart,
  };
}

/** The same reply with its text changed, part by part. */
export function mapText(reply: Reply, change: (text: string, part: Part) => string): Reply {
  const parts = reply.parts.map((part) => ({ ...part, bytes: change(String(part.bytes), part) }));
  return { ...reply, parts };
}
