// A server for programs that speak OpenAI's protocol, and one question to it: node examples/serve.mjs "Hello"
import { LLMClient } from "mlx-llm-client";
import { createServer } from "mlx-llm-client/server";

const [content = "What is 7 + 5?"] = process.argv.slice(2);
const client = new LLMClient({ model: "demo" });
const server = createServer(client, { port: 0, model: "demo" });
try {
  const url = await server.listen();
  console.error(`listening on ${url}`);
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ messages: [{ role: "user", content }], temperature: 0 }),
  });
  const { choices, error } = await response.json();
  console.log(choices?.[0].message.content ?? error.message);
} finally {
  await server.close();
  await client.close();
}
