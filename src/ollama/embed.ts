import { ProtocolError } from "../errors.js";
import { countOf } from "../fields.js";
import { detailsOf } from "../http/where.js";
import type { EmbedQuestion } from "../providers/provider.js";
import type { EmbeddingResponse } from "../types.js";
import { servedModel } from "./model-name.js";
import type { OllamaServer } from "./server.js";

/** One vector for each text, in their order. */
export async function embed(
  server: OllamaServer,
  model: string,
  { texts, truncate = false }: EmbedQuestion,
  signal: AbortSignal,
): Promise<EmbeddingResponse> {
  const where = server.where({ model });
  // Not truncated unless told: the vector of half a text would pass for that of the whole.
  const body = { model, input: texts, truncate };
  const answer = await server.post("/api/embed", { signal, model, body });
  const { embeddings } = answer;
  if (!isVectors(embeddings) || embeddings.length !== texts.length) {
    const message = `Ollama did not give one vector for each of ${texts.length} texts.`;
    throw new ProtocolError(message, { ...detailsOf(where), code: "protocol" });
  }
  const promptTokens = countOf(answer.prompt_eval_count);
  return {
    embeddings,
    model: servedModel(answer, model, where),
    provider: "ollama",
    usage: { promptTokens, totalTokens: promptTokens },
    warnings: truncate ? ["Ollama cuts texts that are too long, and does not say which"] : [],
  };
}

function isVectors(value: unknown): value is number[][] {
  const isVector = (item: unknown) => Array.isArray(item) && item.every(Number.isFinite);
  return Array.isArray(value) && value.every(isVector);
}
