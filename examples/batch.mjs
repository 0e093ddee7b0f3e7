// Many prompts, four at a time, a line of JSON for each: node examples/batch.mjs prompts.txt
import { readFile } from "node:fs/promises";
import { LLMClient, LLMError } from "mlx-llm-client";

const QUESTIONS = ["What is 7 + 5?", "What is the capital of France?", "Hello!"];
const [file] = process.argv.slice(2);
const prompts = file ? (await readFile(file, "utf8")).split("\n").filter(Boolean) : QUESTIONS;

const client = new LLMClient({ maxConcurrent: 4 });
try {
  const calls = prompts.map((prompt) => client.generate({ messages: prompt, temperature: 0 }));
  // A prompt that fails does not end the others.
  for (const [index, result] of (await Promise.allSettled(calls)).entries()) {
    const prompt = prompts[index];
    if (result.status === "fulfilled") {
      const { content, model, latencyMs } = result.value;
      console.log(JSON.stringify({ prompt, content, model, ms: Math.round(latencyMs) }));
    } else {
      if (!LLMError.is(result.reason)) throw result.reason;
      const { code, message } = result.reason;
      console.log(JSON.stringify({ prompt, error: code, message }));
      process.exitCode = 1;
    }
  }
} finally {
  await client.close();
}
