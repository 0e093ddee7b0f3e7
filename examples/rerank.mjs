// Finds passages by their vectors, then ranks the best of them by reading each with the query.
//   node examples/rerank.mjs EMBEDDING-MODEL RERANKER "question" [file]
import { readFile } from "node:fs/promises";
import { LLMClient } from "mlx-llm-client";

const [embedder, reranker, question, file = new URL("data/meeting.txt", import.meta.url)] =
  process.argv.slice(2);
if (!question) {
  console.error('Usage: node examples/rerank.mjs EMBEDDING-MODEL RERANKER "question" [file]');
  process.exit(2);
}
const passages = (await readFile(file, "utf8")).split(/\n+/).filter((line) => line.trim());

const client = new LLMClient({ provider: "mlx" });
try {
  const documents = await client.embed(passages, { model: embedder, inputType: "document" });
  const { embeddings } = await client.embed(question, { model: embedder, inputType: "query" });
  const likeness = documents.embeddings.map((vector) =>
    vector.reduce((sum, number, index) => sum + number * embeddings[0][index], 0),
  );
  const candidates = [...passages.keys()]
    .sort((a, b) => likeness[b] - likeness[a])
    .slice(0, 10)
    .map((place) => passages[place]);

  const { results } = await client.rerank(question, candidates, { model: reranker, topN: 3 });
  for (const { score, document } of results) console.log(score.toFixed(3), document);
} finally {
  await client.close();
}
