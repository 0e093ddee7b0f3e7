// Ollama, else LM Studio, else the demo model in this process: node examples/fallback.mjs "Hello"
import { LLMClient, LLMError } from "mlx-llm-client";

const [prompt = "What is 7 + 5?"] = process.argv.slice(2);
const client = new LLMClient({
  provider: "ollama",
  model: "llama3.2",
  fallbackConfigs: [
    { provider: "lmstudio", model: "qwen/qwen3-4b" },
    { provider: "mlx", model: "demo" },
  ],
  onRetry: ({ delay, error }) => console.error(`again in ${delay.toFixed(1)} s: ${error.code}`),
  onFallback: ({ from, to, error }) =>
    console.error(`${from.provider} failed (${error.code}), asking ${to.provider}`),
});
try {
  const { content, provider, attempts } = await client.generate({
    messages: prompt,
    temperature: 0,
  });
  console.log(content);
  console.error(`answered by ${provider}, attempt ${attempts.length}`);
} catch (error) {
  if (!LLMError.is(error)) throw error;
  console.error(`${error.message}\n${error.hint ?? ""}`);
  for (const { provider, code, skippedBecause } of error.attempts ?? []) {
    console.error(`- ${provider}: ${skippedBecause ?? code}`);
  }
  process.exitCode = 1;
} finally {
  await client.close();
}
