import {
  AIMessage,
  type AIMessageChunk,
  HumanMessage,
  ToolMessage,
} from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import * as z from "zod";
import { ChatMlxLlmClient } from "../../examples/langchain/chat-model.mjs";
import { LLMClient } from "../../src/index.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { describeNative } from "../helpers/native.js";
import { type FakeLmStudio, startFakeLmStudio } from "../servers/fake-lm-studio.js";

let lmStudio: FakeLmStudio;
let client: LLMClient;
let model: ChatMlxLlmClient;

beforeEach(async () => {
  lmStudio = await startFakeLmStudio({ models: [{ id: "m", type: "vlm" }] });
  client = new LLMClient({ provider: "lmstudio", baseUrl: lmStudio.url }, NO_SOURCES);
  model = new ChatMlxLlmClient({ client, model: "m", temperature: 0.3 });
});

afterEach(async () => {
  await client.close();
  await lmStudio.close();
});

const lastBody = () =>
  lmStudio.requests.findLast(({ path }) => path.endsWith("completions"))!.json!;
const look = tool(() => "nothing", { name: "look", schema: z.object({ at: z.string() }) });
const lookAt = (at: string) => ({ name: "look", arguments: { at } });

async function gathered(work: Promise<AsyncIterable<AIMessageChunk>>): Promise<AIMessageChunk> {
  let all: AIMessageChunk | undefined;
  for await (const chunk of await work) all = all?.concat(chunk) ?? chunk;
  return all!;
}

describe("the chat model for LangChain", () => {
  test("gives text, usage and who answered", async () => {
    lmStudio.replies.set({ text: ["Hel", "lo"], promptTokens: 7 });
    const message: AIMessage = await model.invoke("Hi");
    expect(message).toMatchObject({
      content: "Hello",
      usage_metadata: { input_tokens: 7, output_tokens: 3, total_tokens: 10 },
      response_metadata: { provider: "lmstudio", model: "m", finish_reason: "stop" },
    });
    expect(lastBody()).toMatchObject({ model: "m", temperature: 0.3 });
  });

  test("streams the same", async () => {
    lmStudio.replies.set({ text: ["Hel", "lo"], promptTokens: 7 });
    expect(await gathered(model.stream("Hi"))).toMatchObject({
      content: "Hello",
      usage_metadata: { input_tokens: 7, output_tokens: 3 },
      response_metadata: { finish_reason: "stop" },
    });
  });

  test.each(["whole", "streamed"])("gives calls, %s", async (manner) => {
    lmStudio.replies.set({ toolCalls: [lookAt("it"), lookAt("that")] });
    const tools = model.bindTools([look], { tool_choice: "any" });
    const work = manner === "whole" ? tools.invoke("Hi") : gathered(tools.stream("Hi"));
    const { tool_calls: calls = [] } = await work;
    expect(calls).toMatchObject([
      { name: "look", args: { at: "it" } },
      { name: "look", args: { at: "that" } },
    ]);
    expect(new Set(calls.map(({ id }) => id)).size).toBe(2);
    expect(lastBody()).toMatchObject({ tool_choice: "required" });
  });

  test.each(["whole", "streamed"])("gives calls that are no JSON, %s", async (manner) => {
    lmStudio.replies.set({ toolCalls: [{ name: "look", arguments: "at it" }] });
    const tools = model.bindTools([look]);
    const work = manner === "whole" ? tools.invoke("Hi") : gathered(tools.stream("Hi"));
    expect(await work).toMatchObject({
      tool_calls: [],
      invalid_tool_calls: [{ name: "look", args: "at it" }],
    });
  });

  test("tells the model the whole conversation", async () => {
    await model.invoke([
      new HumanMessage({
        content: [
          { type: "text", text: "Look." },
          { type: "image_url", image_url: { url: "data:image/png;base64,AQI=" } },
        ],
      }),
      new AIMessage({ content: "", tool_calls: [{ id: "1", name: "look", args: { at: "it" } }] }),
      new ToolMessage({ tool_call_id: "1", content: "nothing" }),
    ]);
    expect(lastBody().messages).toMatchObject([
      { role: "user", content: [{ type: "text" }, { type: "image_url" }] },
      { role: "assistant", tool_calls: [{ function: { name: "look", arguments: '{"at":"it"}' } }] },
      { role: "tool", tool_call_id: "1", content: "nothing" },
    ]);
  });

  test("gives objects of a schema", async () => {
    lmStudio.replies.set({ text: ['{"name":"Ada"}'] });
    const named = model.withStructuredOutput(z.object({ name: z.string() }), { name: "person" });
    expect(await named.invoke("Who?")).toEqual({ name: "Ada" });
    expect(lastBody().response_format).toMatchObject({
      type: "json_schema",
      json_schema: { name: "person", schema: { required: ["name"] } },
    });
  });

  test("ends with the caller's abort", async () => {
    lmStudio.fault("silence", { at: "first-content" });
    const abort = new AbortController();
    const work = model.invoke("Hi", { signal: abort.signal });
    await lmStudio.requestCount(1);
    abort.abort();
    await expect(work).rejects.toThrow(/abort/i);
  });
});

describeNative("the chat model for LangChain in this process", () => {
  test("answers in the form of a schema", async () => {
    await using mlx = new LLMClient({ provider: "mlx", model: "demo" }, NO_SOURCES);
    const chat = new ChatMlxLlmClient({ client: mlx, temperature: 0, maxTokens: 100 });
    const { content } = await chat.invoke("What is 7 + 5?");
    expect(content).toContain("12");
    const sum = chat.withStructuredOutput(z.object({ sum: z.int().max(99) }));
    expect(await sum.invoke("What is 7 + 5?")).toEqual({ sum: expect.any(Number) });
  });
});
