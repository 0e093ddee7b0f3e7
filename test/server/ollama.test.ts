import { Ollama } from "ollama";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
let ollama: Ollama;

beforeEach(async () => {
  running = await startServer();
  ollama = new Ollama({ host: running.url });
});
afterEach(() => running.stop());

const messages = [{ role: "user", content: "Hello" }];
const TOOL = {
  type: "function",
  function: { name: "weather", description: "", parameters: { type: "object", properties: {} } },
};

test("answers a chat", async () => {
  expect(await ollama.chat({ model: "m", messages })).toMatchObject({
    model: "m",
    message: { role: "assistant", content: "Hello from a fake." },
    done: true,
    done_reason: "stop",
    eval_count: 6,
  });
});

test("streams a chat", async () => {
  running.ollama.replies.set({ reasoning: ["I", " think"], text: ["Hel", "lo"] });
  const parts = [];
  for await (const part of await ollama.chat({ model: "m", messages, think: true, stream: true })) {
    parts.push(part);
  }
  expect(parts.map(({ message }) => message.thinking ?? "").join("")).toBe("I think");
  expect(parts.map(({ message }) => message.content).join("")).toBe("Hello");
  expect(parts.map(({ done }) => done)).toEqual([...parts.slice(1).map(() => false), true]);
});

test("continues a prompt", async () => {
  const reply = await ollama.generate({ model: "m", system: "Be brief.", prompt: "Hello" });
  expect(reply).toMatchObject({ response: "Hello from a fake.", done: true });
  let text = "";
  for await (const part of await ollama.generate({ model: "m", prompt: "Hello", stream: true })) {
    text += part.response;
  }
  expect(text).toBe("Hello from a fake.");
});

test("passes options, a schema and the time to stay on", async () => {
  running.ollama.replies.once({ text: ["{}"] });
  const format = { type: "object" };
  await ollama.chat({
    model: "m",
    messages,
    format,
    keep_alive: "5m",
    options: { temperature: 0.5, num_ctx: 256, num_predict: 7, stop: ["END"] },
  });
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({
    format,
    keep_alive: "5m",
    options: { temperature: 0.5, num_ctx: 256, num_predict: 7, stop: ["END"] },
  });
});

test("runs a tool to its end", async () => {
  running.ollama.replies.once({ toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] });
  const { message } = await ollama.chat({ model: "m", messages, tools: [TOOL] });
  expect(message.tool_calls).toMatchObject([
    { function: { name: "weather", arguments: { city: "Rome" } } },
  ]);
  const answer = { role: "tool", tool_name: "weather", content: "sun" };
  await ollama.chat({ model: "m", messages: [...messages, message, answer], tools: [TOOL] });
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({
    messages: [{ role: "user" }, { role: "assistant" }, { role: "tool", content: "sun" }],
  });
});

test("streams the calls of the model, and objects of a schema", async () => {
  running.ollama.replies.once({ toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] });
  const calls = [];
  for await (const { message } of await ollama.chat({
    model: "m",
    messages,
    tools: [TOOL],
    stream: true,
  })) {
    calls.push(...(message.tool_calls ?? []));
  }
  expect(calls).toMatchObject([{ function: { name: "weather", arguments: { city: "Rome" } } }]);
  running.ollama.replies.set({ text: ['{"name":', '"Ada"}'] });
  const format = { type: "object", required: ["name"] };
  let text = "";
  for await (const { message } of await ollama.chat({
    model: "m",
    messages,
    format,
    stream: true,
  })) {
    text += message.content;
  }
  expect(JSON.parse(text)).toEqual({ name: "Ada" });
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({ format });
});

test("lists, shows, loads and unloads models", async () => {
  expect((await ollama.list()).models).toMatchObject([{ name: "m:latest" }]);
  expect(await ollama.show({ model: "m" })).toMatchObject({
    capabilities: expect.arrayContaining(["completion", "tools"]),
  });
  expect((await ollama.ps()).models).toEqual([]);
  expect(await ollama.generate({ model: "m", prompt: "" })).toMatchObject({ done_reason: "load" });
  expect((await ollama.ps()).models).toMatchObject([{ name: "m:latest" }]);
  const unload = { model: "m", prompt: "", keep_alive: 0 };
  expect(await ollama.generate(unload)).toMatchObject({ done_reason: "unload" });
  expect((await ollama.ps()).models).toEqual([]);
  expect((await ollama.version()).version).toMatch(/^\d+\.\d+\.\d+/);
});

test("gives vectors of texts, and of one text as it did at first", async () => {
  await running.stop();
  const models = [{ name: "e", capabilities: ["embedding"] }];
  running = await startServer({}, {}, { models });
  ollama = new Ollama({ host: running.url });
  const { model, embeddings } = await ollama.embed({ model: "e", input: ["river", "bank"] });
  expect([model, embeddings.length]).toEqual(["e", 2]);
  const { embedding } = await ollama.embeddings({ model: "e", prompt: "river" });
  expect(embedding).toEqual(embeddings[0]);
  const body = { model: "e", input: "river", truncate: true, keep_alive: "5m" };
  expect(await (await running.ask("/api/embed", body)).json()).toMatchObject({
    embeddings: [embedding],
    warnings: expect.arrayContaining(["keep_alive was left out: ollama is not told it here"]),
  });
  await expect(ollama.embed({ model: "none", input: "river" })).rejects.toMatchObject({
    status_code: 404,
  });
});

test("refuses with its own error objects", async () => {
  await expect(ollama.chat({ model: "none", messages })).rejects.toMatchObject({
    status_code: 404,
  });
  const response = await running.ask("/api/chat", { model: "m", messages, mirostat: 1 });
  expect([response.status, await response.json()]).toEqual([
    400,
    { error: "The request is wrong: mirostat is not supported.", code: "validation" },
  ]);
  await expect(ollama.delete({ model: "m" })).rejects.toMatchObject({ status_code: 501 });
});

test("ends a stream that breaks off with an error", async () => {
  running.ollama.fault("reset", { at: "mid-stream" });
  await expect(async () => {
    for await (const _ of await ollama.chat({ model: "m", messages, stream: true }));
  }).rejects.toThrow("The reply broke off");
});

test("notes options that mean nothing to the provider that answered", async () => {
  const options = { repeat_last_n: 8, num_ctx: 256 };
  const body = { model: "m", prompt: "Hello", raw: true, stream: false, options };
  expect(await (await running.ask("/api/generate", body)).json()).toMatchObject({
    warnings: [
      "raw was left out: it means nothing to ollama",
      "repeat_last_n was left out: it means nothing to ollama",
    ],
  });
});
