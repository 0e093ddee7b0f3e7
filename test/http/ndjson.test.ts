import { readFileSync } from "node:fs";
import { ProtocolError } from "../../src/errors.js";
import { readNdjson } from "../../src/http/ndjson.js";
import { all, batches, cutAll, cutOften, cutOnce } from "./cuts.js";
import { failureOf } from "./local-server.js";

const where = { provider: "ollama", url: "http://localhost:11434", model: "tiny" } as const;
const read = (chunks: Uint8Array[]) => all(readNdjson(batches(...chunks), where));
const bytesOf = (text: string) => Buffer.from(text);
const recorded = (name: string) =>
  readFileSync(new URL(`../fixtures/wire/ollama/0.17.4/${name}.ndjson`, import.meta.url));

const values = [{ text: "né 🐦 \u2028" }, [1, "a\r\nb"], "日本", null, { done: true }];
const lines = values.map((value) => JSON.stringify(value));

const streams: [string, Buffer][] = [
  ["line feeds", bytesOf(`${lines.join("\n")}\n`)],
  ["carriage returns too", bytesOf(`${lines.join("\r\n")}\r\n`)],
  ["a byte order mark", bytesOf(`\uFEFF${lines.join("\n")}\n`)],
  ["empty lines between", bytesOf(`\n\r\n${lines.join("\n \n\n")}\n\n`)],
  ["no line feed at the end", bytesOf(lines.join("\n"))],
];

test.each(streams)("reads lines with %s, wherever they are cut", async (_, bytes) => {
  expect(await read([bytes])).toEqual(values);
  for (const chunks of cutOnce(bytes)) expect(await read(chunks)).toEqual(values);
  for (const chunks of cutOften(bytes, 50)) expect(await read(chunks)).toEqual(values);
  expect(await read(cutAll(bytes))).toEqual(values);
});

test.each(["chat", "chat-thinking", "chat-tools", "chat-runner-died"])(
  "reads the recorded %s alike, wherever it is cut",
  async (name) => {
    const bytes = recorded(name);
    const whole = bytes.toString().trim().split("\n");
    const expected: unknown[] = whole.map((line) => JSON.parse(line));
    expect(await read([bytes])).toEqual(expected);
    for (const chunks of cutOften(bytes, 50)) expect(await read(chunks)).toEqual(expected);
    expect(await read(cutAll(bytes))).toEqual(expected);
  },
);

test("delivers what came together as one batch, and nothing before its line is whole", async () => {
  const got: unknown[] = [];
  async function* chunks() {
    yield [bytesOf('{"a":1}\n{"b"'), bytesOf(":2}\n"), bytesOf("[")];
    expect(got).toEqual([[{ a: 1 }, { b: 2 }]]);
    yield [bytesOf("3")];
    expect(got).toHaveLength(1);
    yield [bytesOf("]\n")];
  }
  for await (const batch of readNdjson(chunks(), where)) got.push(batch);
  expect(got).toEqual([[{ a: 1 }, { b: 2 }], [[3]]]);
});

test("replaces bytes that are no UTF-8", async () => {
  const bytes = Buffer.concat([bytesOf('"a'), Buffer.from([0xff]), bytesOf('b"\n')]);
  expect(await read([bytes])).toEqual(["a\uFFFDb"]);
});

test("a line that is no JSON is an error, after all lines before it", async () => {
  const got: unknown[] = [];
  const reading = async () => {
    const chunks = batches(bytesOf('{"a":1}\n<html>\u001b[31m\n{"b":2}\n'));
    for await (const batch of readNdjson(chunks, where)) got.push(...batch);
  };
  const error = await failureOf(reading());
  expect(got).toEqual([{ a: 1 }]);
  expect(error).toBeInstanceOf(ProtocolError);
  expect(error).toMatchObject({
    message: "Ollama sent a line that is not JSON: <html> [31m.",
    code: "protocol",
    provider: "ollama",
    url: "http://localhost:11434",
    model: "tiny",
  });
});

test("a stream that ends within a line is truncated", async () => {
  const error = await failureOf(read([bytesOf('{"a":1}\n{"b":')]));
  expect(error).toMatchObject({ name: "ProtocolError", code: "stream_truncated" });
});

test("a line without end is given up after 16 MiB", async () => {
  let sent = 0;
  async function* endless() {
    for (;;) {
      sent += 1;
      yield [Buffer.alloc(1024 * 1024, "x")];
    }
  }
  const error = await failureOf(all(readNdjson(endless(), where)));
  expect(error).toMatchObject({ name: "ProtocolError", code: "protocol" });
  expect(String(error)).toContain("16 MiB");
  expect(sent).toBe(17);
});

test("leaving the loop ends the source", async () => {
  let isEnded = false;
  async function* chunks() {
    try {
      for (;;) yield [bytesOf("1\n")];
    } finally {
      isEnded = true;
    }
  }
  for await (const _ of readNdjson(chunks(), where)) break;
  expect(isEnded).toBe(true);
});
