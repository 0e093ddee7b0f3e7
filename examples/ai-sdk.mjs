// Streams a reply and runs a tool with the AI SDK (`npm install ai`), with a model in this process or
// on a server. With a model that knows tools:
//   node examples/ai-sdk.mjs "What is 1234 * 5678?"
import { stepCountIs, streamText, tool } from "ai";
import { createMlxLlmClient } from "mlx-llm-client/ai-sdk";
import * as z from "zod";

const llm = createMlxLlmClient();
const multiply = tool({
  description: "Multiplies two numbers.",
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => a * b,
});

const { textStream } = streamText({
  model: llm(process.env.LLM_CLIENT_MODEL ?? "demo"),
  prompt: process.argv.slice(2).join(" ") || "What is 1234 * 5678?",
  tools: { multiply },
  stopWhen: stepCountIs(5),
  onStepFinish: ({ toolResults, providerMetadata }) => {
    const { provider } = providerMetadata.mlxLlmClient;
    console.error(`${provider} answered`);
    for (const { toolName, output } of toolResults) console.error(`${toolName} gave ${output}`);
  },
  onError: ({ error }) => {
    console.error(String(error));
    process.exitCode = 1;
  },
});
for await (const text of textStream) process.stdout.write(text);
process.stdout.write("\n");
await llm.close();
