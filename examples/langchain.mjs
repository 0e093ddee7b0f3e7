// A LangChain.js chat model (`npm install @langchain/core`) that streams, calls a tool, and gives an object:
//   node examples/langchain.mjs "What is 1234 * 5678?"
import { HumanMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { LLMClient } from "mlx-llm-client";
import * as z from "zod";
import { ChatMlxLlmClient } from "./langchain/chat-model.mjs";

const client = new LLMClient();
const model = new ChatMlxLlmClient({ client, temperature: 0 });
const question = process.argv.slice(2).join(" ") || "What is 1234 * 5678?";

const multiply = tool(({ a, b }) => String(a * b), {
  name: "multiply",
  description: "Multiplies two numbers.",
  schema: z.object({ a: z.number(), b: z.number() }),
});
const messages = [new HumanMessage(question)];
const calling = await model.bindTools([multiply]).invoke(messages);
messages.push(calling);
for (const call of calling.tool_calls) {
  const result = await multiply.invoke(call);
  console.error(`${call.name} gave ${result.content}`);
  messages.push(result);
}

for await (const { content } of await model.stream(messages)) process.stdout.write(content);
process.stdout.write("\n");

const answer = model.withStructuredOutput(z.object({ number: z.number() }));
console.log(await answer.invoke([...messages, new HumanMessage("Now the number alone.")]));
await client.close();
