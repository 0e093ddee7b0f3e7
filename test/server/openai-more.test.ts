import OpenAI from "openai";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
let openai: OpenAI;

beforeEach(async () => {
  running = await startServer();
  openai = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: "unused", maxRetries: 0 });
});
afterEach(() => running.stop());

const TOOL = {
  type: "function" as const,
  name: "weather",
  parameters: { type: "object", properties: {} },
  strict: false,
};

describe("responses", () => {
  test("answer with text", async () => {
    const response = await openai.responses.create({
      model: "m",
      instructions: "Be brief.",
      input: "Hello",
    });
    expect(response).toMatchObject({
      object: "response",
      status: "completed",
      model: "m",
      output_text: "Hello from a fake.",
      usage: { output_tokens: 6 },
    });
    expect(running.ollama.requests.at(-1)!.json).toMatchObject({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hello" },
      ],
    });
  });

  test("stream events that the library puts together", async () => {
    running.ollama.replies.set({
      reasoning: ["I think"],
      text: ["Hello"],
      toolCalls: [{ name: "weather", arguments: { city: "Rome" } }],
    });
    const stream = openai.responses.stream({ model: "m", input: "Hello", tools: [TOOL] });
    const events: string[] = [];
    const numbers: number[] = [];
    stream.on("event", (event) => {
      events.push(event.type.replace("response.", ""));
      numbers.push(event.sequence_number);
    });
    const response = await stream.finalResponse();
    expect(response.output).toMatchObject([
      { type: "reasoning", content: [{ type: "reasoning_text", text: "I think" }] },
      { type: "message", content: [{ type: "output_text", text: "Hello" }] },
      { type: "function_call", name: "weather", arguments: '{"city":"Rome"}' },
    ]);
    expect(numbers).toEqual(numbers.map((_, index) => index));
    expect(events).toEqual([
      ...["created", "in_progress"],
      ...["output_item.added", "content_part.added", "reasoning_text.delta"],
      ...["reasoning_text.done", "content_part.done", "output_item.done"],
      ...["output_item.added", "content_part.added", "output_text.delta"],
      ...["output_text.done", "content_part.done", "output_item.done"],
      ...["output_item.added", "function_call_arguments.delta"],
      ...["function_call_arguments.done", "output_item.done", "completed"],
    ]);
  });

  test("take back what they said, with what tools gave", async () => {
    running.ollama.replies.once({
      reasoning: ["Look"],
      toolCalls: [{ name: "weather", arguments: { city: "Rome" } }],
    });
    const first = await openai.responses.create({ model: "m", input: "Hello", tools: [TOOL] });
    const call = first.output.find(({ type }) => type === "function_call") as { call_id: string };
    await openai.responses.create({
      model: "m",
      tools: [TOOL],
      input: [
        { role: "user", content: "Hello" },
        ...first.output,
        { type: "function_call_output", call_id: call.call_id, output: "sun" },
      ] as OpenAI.Responses.ResponseInput,
    });
    expect(running.ollama.requests.at(-1)!.json).toMatchObject({
      messages: [
        { role: "user", content: "Hello" },
        { role: "assistant", tool_calls: [{ function: { name: "weather" } }] },
        { role: "tool", content: "sun" },
      ],
    });
  });

  test("pass a schema on, and tell that they were cut", async () => {
    const schema = { type: "object", properties: {} };
    const response = await openai.responses.create({
      model: "m",
      input: "Hello",
      max_output_tokens: 2,
      text: { format: { type: "json_schema", name: "x", schema } },
    });
    expect(response).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
    });
    expect(running.ollama.requests.at(-1)!.json).toMatchObject({ format: schema });
  });

  test.each([[{ previous_response_id: "resp_1" }], [{ store: true }], [{ conversation: "c" }]])(
    "refuse %j: nothing is kept",
    async (fields) => {
      const response = await running.ask("/v1/responses", { model: "m", input: "Hi", ...fields });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { param: Object.keys(fields)[0] } });
    },
  );

  test("fail with an event when the reply breaks off", async () => {
    running.ollama.fault("reset", { at: "mid-stream" });
    const stream = await openai.responses.create({ model: "m", input: "Hello", stream: true });
    const types: string[] = [];
    const read = async () => {
      for await (const event of stream) types.push(event.type);
    };
    await read().catch(() => {});
    expect(types).toContain("response.failed");
  });
});

describe("completions", () => {
  test("continue a text, and say where the chat template stays", async () => {
    const reply = await openai.completions.create({ model: "m", prompt: "Once" });
    expect(reply).toMatchObject({
      object: "text_completion",
      choices: [{ text: "Hello from a fake.", finish_reason: "stop" }],
      usage: { completion_tokens: 6 },
      warnings: [expect.stringContaining("ollama takes no other")],
    });
  });

  test("stream", async () => {
    const stream = await openai.completions.create({ model: "m", prompt: ["Once"], stream: true });
    let text = "";
    let reason: string | null = null;
    for await (const { choices } of stream) {
      text += choices[0]?.text ?? "";
      reason = choices[0]?.finish_reason ?? reason;
    }
    expect([text, reason]).toEqual(["Hello from a fake.", "stop"]);
  });

  test.each([[{ echo: true }], [{ prompt: [1, 2] }], [{ best_of: 2 }]])(
    "refuse %j",
    async (fields) => {
      const body = { model: "m", prompt: "Once", ...fields };
      expect((await running.ask("/v1/completions", body)).status).toBe(400);
    },
  );
});

test("embeds texts", async () => {
  running.ollama.models.add({ name: "e", capabilities: ["embedding"] });
  const reply = await openai.embeddings.create({ model: "e", input: ["river", "bank"] });
  expect(reply.data.map(({ index }) => index)).toEqual([0, 1]);
  const { embeddings } = await running.client.embed(["river"], { model: "e" });
  const [vector] = reply.data.map(({ embedding }) => embedding);
  expect(vector).toHaveLength(embeddings[0]!.length);
  expect(vector).toEqual(embeddings[0]!.map(Math.fround));
});
