import Anthropic from "@anthropic-ai/sdk";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
let anthropic: Anthropic;

beforeEach(async () => {
  running = await startServer();
  anthropic = new Anthropic({ baseURL: running.url, apiKey: "unused", maxRetries: 0 });
});
afterEach(() => running.stop());

const asked = {
  model: "m",
  max_tokens: 100,
  messages: [{ role: "user" as const, content: "Hello" }],
};
const TOOL = { name: "weather", input_schema: { type: "object" as const, properties: {} } };

test("answers with a whole message", async () => {
  expect(await anthropic.messages.create(asked)).toMatchObject({
    id: expect.stringMatching(/^msg_/),
    type: "message",
    role: "assistant",
    model: "m",
    content: [{ type: "text", text: "Hello from a fake." }],
    stop_reason: "end_turn",
    usage: { output_tokens: 6 },
  });
});

test("streams a message that the library puts together", async () => {
  running.ollama.replies.set({ reasoning: ["I", " think"], text: ["Hel", "lo"] });
  const stream = anthropic.messages.stream(asked);
  let text = "";
  stream.on("text", (piece) => (text += piece));
  const message = await stream.finalMessage();
  expect(text).toBe("Hello");
  expect(message.content).toMatchObject([
    { type: "thinking", thinking: "I think" },
    { type: "text", text: "Hello" },
  ]);
  expect(message.stop_reason).toBe("end_turn");
  expect(message.usage.output_tokens).toBe(5);
});

test("sends system text, options and stop sequences on", async () => {
  // Its library has no temperature any more.
  await running.ask("/v1/messages", {
    ...asked,
    system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
    temperature: 0.5,
    top_k: 3,
    stop_sequences: ["END"],
    metadata: { user_id: "ada" },
  });
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
    ],
    options: { temperature: 0.5, top_k: 3, stop: ["END"], num_predict: 100 },
  });
});

test.each([true, false])("runs a tool to its end (stream: %s)", async (streams) => {
  running.ollama.replies.once({
    text: ["Let me look."],
    toolCalls: [{ name: "weather", arguments: { city: "Rome" } }],
  });
  const ask = (body: Anthropic.MessageCreateParamsNonStreaming) =>
    streams ? anthropic.messages.stream(body).finalMessage() : anthropic.messages.create(body);
  const first = await ask({ ...asked, tools: [TOOL] });
  expect(first.stop_reason).toBe("tool_use");
  const call = first.content[1] as Anthropic.ToolUseBlock;
  expect(call).toMatchObject({ type: "tool_use", name: "weather", input: { city: "Rome" } });
  const result = { type: "tool_result" as const, tool_use_id: call.id, content: "sun" };
  await ask({
    ...asked,
    tools: [TOOL],
    messages: [
      ...asked.messages,
      { role: "assistant", content: first.content },
      { role: "user", content: [result, { type: "text", text: "And?" }] },
    ],
  });
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({
    messages: [
      { role: "user", content: "Hello" },
      { role: "assistant", tool_calls: [{ function: { name: "weather" } }] },
      { role: "tool", content: "sun" },
      { role: "user", content: "And?" },
    ],
  });
});

test.each([true, false])(
  "passes a schema on, and gives what it was made to (stream: %s)",
  async (streams) => {
    running.ollama.replies.set({ text: ['{"name":', '"Ada"}'] });
    const schema = {
      type: "object",
      properties: { name: { type: "string" } },
      required: ["name"],
      additionalProperties: false,
    } as const;
    const body = { ...asked, output_config: { format: jsonSchemaOutputFormat(schema) } };
    const { parsed_output: parsed } = streams
      ? await anthropic.messages.stream(body).finalMessage()
      : await anthropic.messages.parse(body);
    expect(parsed).toEqual({ name: "Ada" });
    expect(running.ollama.requests.at(-1)!.json).toMatchObject({ format: { required: ["name"] } });
  },
);

test.each<[Anthropic.MessageCreateParamsNonStreaming["output_config"], boolean, unknown]>([
  [{ effort: "low" }, true, "low"],
  [{ effort: "max" }, true, "high"],
  [{ effort: "high" }, false, false],
])("thinks as hard as it is told: %j", async (output_config, thinks, expected) => {
  running.ollama.models.add({ name: "gpt-oss", capabilities: ["completion", "thinking"] });
  const thinking = thinks ? ({ type: "adaptive" } as const) : ({ type: "disabled" } as const);
  await anthropic.messages.create({ ...asked, model: "gpt-oss", thinking, output_config });
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({ think: expected });
});

test.each<[string, object, number, string]>([
  ["an unknown model", { model: "none" }, 404, "not_found_error"],
  ["an unknown field", { container: "x" }, 400, "invalid_request_error"],
  ["a wrong value", { max_tokens: 0 }, 400, "invalid_request_error"],
])("refuses %s with its own error object", async (_, fields, status, type) => {
  const response = await running.ask("/v1/messages", { ...asked, ...fields });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ type: "error", error: { type } });
});

test("says 529 when it is overloaded", async () => {
  running.ollama.fault("ollama-busy");
  const refused = anthropic.messages.create(asked);
  await expect(refused).rejects.toMatchObject({ status: 529 });
});

test("ends a stream that breaks off with an error", async () => {
  running.ollama.fault("reset", { at: "mid-stream" });
  const stream = anthropic.messages.stream(asked);
  await expect(stream.finalMessage()).rejects.toThrow(/api_error/);
});

test("refuses by name to count tokens where the provider cannot", async () => {
  const { max_tokens: _, ...question } = asked;
  await expect(anthropic.messages.countTokens(question)).rejects.toMatchObject({
    status: 501,
    message: expect.stringContaining("does not support counting tokens"),
  });
});

test("pings in a long silence", async () => {
  await running.stop();
  running = await startServer({ keepAlive: 0.05 });
  running.ollama.fault("never-answers");
  const response = await running.ask("/v1/messages", { ...asked, stream: true });
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  expect(new TextDecoder().decode(value)).toBe('event: ping\ndata: {"type":"ping"}\n\n');
  await reader.cancel();
});
