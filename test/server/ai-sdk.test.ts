import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
beforeEach(async () => {
  running = await startServer();
});
afterEach(() => running.stop());

const model = () =>
  createOpenAICompatible({ name: "local", baseURL: `${running.url}/v1`, includeUsage: true })("m");

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
    tools: {
      weather: tool({
        inputSchema: jsonSchema<{ city: string }>({
          type: "object",
          properties: { city: { type: "string" } },
        }),
        execute: async ({ city }) => `sun in ${city}`,
      }),
    },
  });
  expect(text).toBe("Sunny in Rome.");
  expect(steps).toHaveLength(2);
  expect(running.ollama.requests.at(-1)!.body).toContain("sun in Rome");
});
