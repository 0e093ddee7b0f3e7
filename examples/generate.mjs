// One answer as a whole: node examples/generate.mjs "What is 7 + 5?"
import { LLMClient, LLMError } from "mlx-llm-client";

const client = new LLMClient({ model: "demo" });
try {
  const prompt = process.argv[2] ?? "What is 7 + 5?";
  const { content, usage, timings } = await client.generate({ messages: prompt, temperature: 0 });
  console.log(content);
  console.error(
    `${usage.completionTokens} tokens, the first after ${timings.firstTokenMs?.toFixed()} ms`,
  );
} catch (error) {
  if (!LLMError.is(error)) throw error;
  console.error(`${error.code}: ${error.message}\n${error.hint ?? ""}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
