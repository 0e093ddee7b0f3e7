// Searches the lines of a file by meaning.
//   node examples/embed.mjs MODEL "question" [file]
import { readFile } from "node:fs/promises";
import { LLMClient } from "mlx-llm-client";

const [model, question, file = new URL("data/meeting.txt", import.meta.url)] =
  process.argv.slice(2);
if (!question) {
  console.error('Usage: node examples/embed.mjs MODEL "question" [file]');
  process.exit(2);
}
const passages = (await readFile(file, "utf8")).split(/\n+/).filter((line) => line.trim());

const client = new LLMClient({ provider: "mlx" });
try {
  const { embeddings, usage, warnings } = await client.embed(passages, {
    model,
    inputType: "document",
  });
  const [query] = (await client.embed(question, { model, inputType: "query" })).embeddings;

  const likeness = (vector) =>
    vector.reduce((sum, number, index) => sum + number * query[index], 0);
  const found = passages
    .map((passage, index) => ({ passage, score: likeness(embeddings[index]) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, 3);
  for (const { passage, score } of found) console.log(score.toFixed(3), passage);
  for (const warning of warnings) console.error(`warning: ${warning}`);
  console.error(`${passages.length} passages, ${usage.promptTokens} tokens`);
} finally {
  await client.close();
}
