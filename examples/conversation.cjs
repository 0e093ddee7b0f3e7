// Several turns, from CommonJS: node examples/conversation.cjs
const { LLMClient } = require("mlx-llm-client");

async function main() {
  const client = new LLMClient({ model: "demo" });
  const messages = [];
  for (const question of ["Hello!", "What is the capital of France?", "What is 3 + 4?"]) {
    messages.push({ role: "user", content: question });
    const { content } = await client.generate({ messages, temperature: 0 });
    messages.push({ role: "assistant", content });
    console.log(`> ${question}\n${content}`);
  }
  await client.close();
}

main();
