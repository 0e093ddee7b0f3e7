import { readFileSync } from "node:fs";
import { readServerSentEvents } from "../../src/http/server-sent-events.js";
import { all, batches, cutAll, cutOften, cutOnce } from "./cuts.js";
import { failureOf } from "./local-server.js";

const where = { provider: "lmstudio", url: "http://localhost:1234" } as const;
const read = (chunks: Uint8Array[]) => all(readServerSentEvents(batches(...chunks), where));
const bytesOf = (text: string) => Buffer.from(text);
const recorded = (name: string) =>
  readFileSync(new URL(`../fixtures/wire/${name}.sse`, import.meta.url));

const lines = [
  ": keepalive 1/1",
  "",
  'data: {"text":"né 🐦 \u2028"}',
  "",
  "id: 7",
  "retry: 10",
  "unknown: field",
  'data:{"no":"space"}',
  "",
  "event: error",
  'data: {"error":',
  'data: "日本"}',
  "",
  "data",
  "",
  ": only a comment",
  "",
  "data: [DONE]",
  "",
  "",
];
const events = [
  { data: '{"text":"né 🐦 \u2028"}' },
  { data: '{"no":"space"}' },
  { event: "error", data: '{"error":\n"日本"}' },
  { data: "" },
  { data: "[DONE]" },
];

const streams: [string, Buffer][] = [
  ["line feeds", bytesOf(lines.join("\n"))],
  ["carriage returns and line feeds", bytesOf(lines.join("\r\n"))],
  ["carriage returns", bytesOf(lines.join("\r"))],
  ["a byte order mark", bytesOf(`\uFEFF${lines.slice(2).join("\n")}`)],
  ["no empty line at the end", bytesOf(lines.slice(0, -1).join("\n"))],
  ["no line end at the end", bytesOf(lines.slice(0, -2).join("\n"))],
];

test.each(streams)("reads events with %s, wherever they are cut", async (_, bytes) => {
  expect(await read([bytes])).toEqual(events);
  for (const chunks of cutOnce(bytes)) expect(await read(chunks)).toEqual(events);
  for (const chunks of cutOften(bytes, 50)) expect(await read(chunks)).toEqual(events);
  expect(await read(cutAll(bytes))).toEqual(events);
});

test.each(["lm-studio/0.4/chat-tools", "lm-studio/0.4/chat-reasoning", "ollama/0.17.4/v1-chat"])(
  "reads the recorded %s alike, wherever it is cut",
  async (name) => {
    const bytes = recorded(name);
    const expected = Array.from(bytes.toString().matchAll(/^data: (.*)$/gm), ([, data]) => ({
      data,
    }));
    expect(expected.length).toBeGreaterThan(3);
    expect(await read([bytes])).toEqual(expected);
    for (const chunks of cutOften(bytes, 50)) expect(await read(chunks)).toEqual(expected);
    expect(await read(cutAll(bytes))).toEqual(expected);
  },
);

test("delivers what came together as one batch", async () => {
  const got: unknown[] = [];
  async function* chunks() {
    yield [bytesOf("data: 1\n\ndata: 2"), bytesOf("\n\ndata: 3")];
    expect(got).toEqual([[{ data: "1" }, { data: "2" }]]);
    yield [bytesOf("\n\n")];
  }
  for await (const batch of readServerSentEvents(chunks(), where)) got.push(batch);
  expect(got).toEqual([[{ data: "1" }, { data: "2" }], [{ data: "3" }]]);
});

test("replaces bytes that are no UTF-8", async () => {
  const bytes = Buffer.concat([bytesOf("data: a"), Buffer.from([0xff]), bytesOf("b\n\n")]);
  expect(await read([bytes])).toEqual([{ data: "a\uFFFDb" }]);
});

test.each([
  ["data", 'data: {"a":1}\n\ndata: {"b":'],
  ["a character", Buffer.concat([bytesOf('data: {"a":1}\n\ndata: "'), Buffer.from([0xf0, 0x9f])])],
])("a stream that ends within %s is truncated, after all events before it", async (_, bytes) => {
  const got: unknown[] = [];
  const reading = async () => {
    const chunks = batches(Buffer.from(bytes as string));
    for await (const batch of readServerSentEvents(chunks, where)) got.push(...batch);
  };
  const error = await failureOf(reading());
  expect(got).toEqual([{ data: '{"a":1}' }]);
  expect(error).toMatchObject({ name: "ProtocolError", code: "stream_truncated", ...where });
});

test.each([
  ["one line", "x".repeat(1024 * 1024)],
  ["many lines", "data: xxxxxxxxx\n".repeat(100_000)],
])("an event of %s without end is given up after 16 MiB", async (_, piece) => {
  let sent = 0;
  async function* endless() {
    yield [bytesOf("data: 1\n\ndata: ")];
    for (;;) {
      sent += piece.length;
      yield [bytesOf(piece)];
    }
  }
  const error = await failureOf(all(readServerSentEvents(endless(), where)));
  expect(error).toMatchObject({ name: "ProtocolError", code: "protocol" });
  expect(String(error)).toContain("16 MiB");
  expect(sent).toBeLessThan(32 * 1024 * 1024);
});

test("leaving the loop ends the source", async () => {
  let isEnded = false;
  async function* chunks() {
    try {
      for (;;) yield [bytesOf("data: 1\n\n")];
    } finally {
      isEnded = true;
    }
  }
  for await (const _ of readServerSentEvents(chunks(), where)) break;
  expect(isEnded).toBe(true);
});
