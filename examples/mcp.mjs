// Lets a model call the tools of MCP servers. With a server or model that knows tools, and a file
// with mcpServers:
//   node examples/mcp.mjs mcp.json "What is in my notes?"
import { LLMClient, runTools } from "mlx-llm-client";
import { connectMcp } from "mlx-llm-client/mcp";

const [file = "mcp.json", ...question] = process.argv.slice(2);
const mcp = await connectMcp({ file });
for (const warning of mcp.warnings) console.error(warning);
const client = new LLMClient();
try {
  const { response } = await runTools(client, {
    messages: question.join(" ") || "What can you do for me?",
    tools: mcp.tools,
    onResult: ({ call, content }) => console.error(`${call.name} gave ${content}`),
  });
  console.log(response.content);
} finally {
  await mcp.close();
  await client.close();
}
