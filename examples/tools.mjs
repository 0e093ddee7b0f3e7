// Lets a model call functions of this program. With a server or model that knows tools:
//   node examples/tools.mjs "What is 1234 * 5678?"
import { defineTool, LLMClient, runTools } from "mlx-llm-client";
import * as z from "zod";

const multiply = defineTool({
  name: "multiply",
  description: "Multiplies two numbers.",
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => a * b,
});

const client = new LLMClient();
const messages = process.argv.slice(2).join(" ") || "What is 1234 * 5678?";
const { response } = await runTools(client, {
  messages,
  tools: [multiply],
  onResult: ({ call, content }) => console.error(`${call.name} gave ${content}`),
});
console.log(response.content);
await client.close();
