import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
beforeEach(async () => {
  running = await startServer();
});
afterEach(() => running.stop());

const provider = () =>
  createOpenAICompatible({
    name: "local",
    baseURL: `${running.url}/v1`,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
const model = () => provider()("m");
const weather = tool({
  inputSchema: jsonSchema<{ city: string }>({
    type: "object",
    properties: { city: { type: "string" } },
  }),
  execute: async ({ city }) => `sun in ${city}`,
});

test("the AI SDK streams text and reasoning", async () => {
  running.ollama.replies.set({ reasoning: ["I", " think"], text: ["Hel", "lo"] });
  const result = streamText({ model: model(), prompt: "Hello" });
  let text = "";
  for await (const piece of result.textStream) text += piece;
  expect(text).toBe("Hello");
  expect(await result.reasoningText).toBe("I think");
  expect((await result.usage).outputTokens).toBe(5);
  expect(await result.finishReason).toBe("stop");
});

test("the AI SDK runs tools", async () => {
  running.ollama.replies.once({ toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] });
  running.ollama.replies.set({ text: ["Sunny in Rome."] });
  const { text, steps } = await generateText({
    model: model(),
    prompt: "Weather?",
    stopWhen: stepCountIs(3),
    tools: { weather },
  });
  expect(text).toBe("Sunny in Rome.");
  expect(steps).toHaveLength(2);
  expect(running.ollama.requests.at(-1)!.body).toContain("sun in Rome");
});

test("the AI SDK runs tools of a stream", async () => {
  running.ollama.replies.once({ toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] });
  running.ollama.replies.set({ text: ["Sunny in Rome."] });
  const tools = { weather };
  const result = streamText({ model: model(), prompt: "?", stopWhen: stepCountIs(3), tools });
  expect(await result.text).toBe("Sunny in Rome.");
  expect((await result.steps)[0]!.toolCalls).toMatchObject([{ input: { city: "Rome" } }]);
});

test("the AI SDK gets objects of a schema, whole or in pieces", async () => {
  running.ollama.replies.set({ text: ['{"name":', '"Ada"}'] });
  const properties = { name: { type: "string" as const } };
  const schema = jsonSchema<{ name: string }>({ type: "object", properties, required: ["name"] });
  const asked = { model: model(), prompt: "Who?", output: Output.object({ schema }) };
  expect((await generateText(asked)).output).toEqual({ name: "Ada" });
  expect(await streamText(asked).output).toEqual({ name: "Ada" });
  expect(running.ollama.requests.at(-1)!.json).toMatchObject({ format: { required: ["name"] } });
});

test("the AI SDK gets embeddings", async () => {
  running.ollama.models.add({ name: "e", capabilities: ["embedding"] });
  const asked = { model: provider().embeddingModel("e"), values: ["one", "four"] };
  expect((await embedMany(asked)).embeddings).toEqual([
    [0.6, 0.8, 0],
    [0.6, -0.8, 0],
  ]);
});
