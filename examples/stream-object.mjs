// An object while it is written: node examples/stream-object.mjs "Ada Lovelace, born in 1815"
import { LLMClient, LLMError } from "mlx-llm-client";
import * as z from "zod";

const schema = z.object({
  name: z.string().max(30),
  born: z.int().min(0).max(2100),
  likes: z.array(z.string().max(12)).max(3),
});

const client = new LLMClient({ model: "demo" });
try {
  const messages = process.argv[2] ?? "Ada Lovelace was born in 1815 and likes numbers.";
  const stream = client.streamObject({ messages, schema, temperature: 0, maxTokens: 400 });
  for await (const part of stream) process.stderr.write(`${JSON.stringify(part)}\n`);
  const { name, born, likes } = await stream.object;
  console.log(`${name}, ${born}: ${likes.join(", ")}`);
} catch (error) {
  if (!LLMError.is(error)) throw error;
  console.error(`${error.code}: ${error.message}\n${error.hint ?? ""}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
