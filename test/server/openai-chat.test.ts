import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import * as z from "zod";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
let openai: OpenAI;

beforeEach(async () => {
  running = await startServer();
  openai = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: "unused", maxRetries: 0 });
});
afterEach(() => running.stop());

const messages = [{ role: "user" as const, content: "Hello" }];
const TOOL = {
  type: "function" as const,
  function: { name: "weather", parameters: { type: "object", properties: {} } },
};

test("answers with a whole chat completion", async () => {
  const reply = await openai.chat.completions.create({ model: "m", messages });
  expect(reply).toMatchObject({
    id: expect.stringMatching(/^chatcmpl-/),
    object: "chat.completion",
    model: "m",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "Hello from a fake." },
        finish_reason: "stop",
      },
    ],
    usage: { completion_tokens: 6 },
  });
});

test("streams the pieces of a reply, and its usage if it is wanted", async () => {
  const stream = await openai.chat.completions.create({
    model: "m",
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
  expect(deltas[0]).toMatchObject({ role: "assistant" });
  expect(deltas.map(({ content }) => content ?? "").join("")).toBe("Hello from a fake.");
  expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("stop");
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 6 } });
});

test("tells what the model thought", async () => {
  running.ollama.replies.set({ reasoning: ["I", " think"], text: ["Yes"] });
  const whole = await openai.chat.completions.create({ model: "m", messages });
  expect(whole.choices[0]!.message).toMatchObject({
    content: "Yes",
    reasoning_content: "I think",
  });
  const stream = await openai.chat.completions.create({ model: "m", messages, stream: true });
  let thought = "";
  for await (const { choices } of stream) {
    const delta = choices[0]?.delta as { reasoning_content?: string } | undefined;
    thought += delta?.reasoning_content ?? "";
  }
  expect(thought).toBe("I think");
});

test("passes tools on, and tells the calls of the model", async () => {
  running.ollama.replies.set({ toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] });
  const reply = await openai.chat.completions.create({ model: "m", messages, tools: [TOOL] });
  const [choice] = reply.choices;
  expect(choice!.finish_reason).toBe("tool_calls");
  const [call] = choice!.message.tool_calls!;
  expect(call).toMatchObject({
    type: "function",
    function: { name: "weather", arguments: '{"city":"Rome"}' },
  });
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({ tools: [TOOL] });
  running.ollama.replies.set({ text: ["Sunny."] });
  const next = await openai.chat.completions.create({
    model: "m",
    messages: [
      ...messages,
      choice!.message,
      { role: "tool", tool_call_id: call!.id, content: "sun" },
    ],
  });
  expect(next.choices[0]!.message.content).toBe("Sunny.");
});

test("streams the calls of the model so that the library puts them together", async () => {
  running.ollama.replies.set({
    toolCalls: [
      { name: "weather", arguments: { city: "Rome" } },
      { name: "weather", arguments: { city: "Oslo" } },
    ],
  });
  const stream = openai.chat.completions.stream({ model: "m", messages, tools: [TOOL] });
  const { choices } = await stream.finalChatCompletion();
  expect(
    choices[0]!.message.tool_calls?.map((call) => "function" in call && call.function.arguments),
  ).toEqual(['{"city":"Rome"}', '{"city":"Oslo"}']);
});

test("passes a schema on", async () => {
  running.ollama.replies.set({ text: ['{"a":1}'] });
  const schema = { type: "object", properties: { a: { type: "number" } } };
  const reply = await openai.chat.completions.create({
    model: "m",
    messages,
    response_format: { type: "json_schema", json_schema: { name: "x", schema, strict: true } },
  });
  expect(reply.choices[0]!.message.content).toBe('{"a":1}');
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({ format: schema });
});

test("streams what was made to a schema, for the library to read", async () => {
  running.ollama.replies.set({ text: ['{"name":', '"Ada"}'] });
  const response_format = zodResponseFormat(z.object({ name: z.string() }), "person");
  const body = { model: "m", messages, response_format };
  const whole = await openai.chat.completions.parse(body);
  const streamed = await openai.chat.completions.stream(body).finalChatCompletion();
  for (const { choices } of [whole, streamed]) {
    expect(choices[0]!.message.parsed).toEqual({ name: "Ada" });
  }
});

test("lists models and tells of one", async () => {
  const { data } = await openai.models.list();
  expect(data).toMatchObject([{ id: "m:latest", object: "model" }]);
  expect(await openai.models.retrieve("m:latest")).toMatchObject({ id: "m:latest" });
  await expect(openai.models.retrieve("org/none")).rejects.toMatchObject({ status: 404 });
});

test("refuses a model that is not there", async () => {
  const refused = openai.chat.completions.create({ model: "none", messages });
  await expect(refused).rejects.toMatchObject({ status: 404, code: "model_not_found" });
});

test.each(["/etc", "../models", "~/model", "C:\\model", "a/../../b.gguf", "a/.."])(
  "refuses the path %s",
  async (model) => {
    const refused = openai.chat.completions.create({ model, messages });
    await expect(refused).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  },
);

test.each([
  [{ functions: [] }, "functions is not supported"],
  [{ n: 2 }, "n is 2, but must be 1"],
  [{ store: true }, "store is true, but must be false"],
  [{ temperature: 3 }, "temperature is 3, but must be a number from 0 to 2"],
])("refuses %j by name", async (fields, reason) => {
  const response = await running.ask("/v1/chat/completions", { model: "m", messages, ...fields });
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({
    error: {
      message: `The request is wrong: ${reason}.`,
      type: "invalid_request_error",
      param: Object.keys(fields)[0],
      code: "validation",
    },
  });
});

test("takes fields that change nothing", async () => {
  const reply = await openai.chat.completions.create({
    model: "m",
    messages,
    user: "ada",
    store: false,
    metadata: { a: "b" },
  });
  expect(reply.choices[0]!.finish_reason).toBe("stop");
});

test("ends a stream that breaks off with an error", async () => {
  running.ollama.fault("reset", { at: "mid-stream" });
  const stream = await openai.chat.completions.create({ model: "m", messages, stream: true });
  await expect(async () => {
    for await (const _ of stream);
  }).rejects.toMatchObject({ code: "stream_interrupted" });
});
