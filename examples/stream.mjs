// An answer piece by piece, ended after a while: node examples/stream.mjs "Hello" 2000
import { AbortError, LLMClient } from "mlx-llm-client";

const [prompt = "Hello", milliseconds = "2000"] = process.argv.slice(2);
const client = new LLMClient({ model: "demo" });
try {
  const signal = AbortSignal.timeout(Number(milliseconds));
  for await (const event of client.stream({ messages: prompt, signal })) {
    if (event.type === "text") process.stdout.write(event.text);
    if (event.type === "finish") console.error(`\nfinished by ${event.response.finishReason}`);
  }
} catch (error) {
  if (!AbortError.is(error)) throw error;
  console.error(`\nended after ${milliseconds} ms with: ${error.partial ?? "nothing"}`);
} finally {
  await client.close();
}
