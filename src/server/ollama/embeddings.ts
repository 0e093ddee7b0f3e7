import type { EmbeddingResponse } from "../../index.js";
import { embedTexts } from "../embed-texts.js";
import type { Service } from "../service.js";
import type { EmbedBody, OldEmbedBody } from "./schema.js";

const NANOSECONDS_PER_MS = 1_000_000;

/** Vectors of texts, as Ollama tells them. */
export async function embed(
  service: Service,
  body: EmbedBody,
  signal: AbortSignal,
): Promise<object> {
  const startedAt = performance.now();
  const { model: name, input: texts, dimensions, truncate } = body;
  const question = { model: name, texts, dimensions, truncate: truncate ?? true, signal };
  const reply = await embedTexts(service, question);
  const { model, embeddings, usage } = reply;
  return {
    model,
    embeddings,
    total_duration: Math.round((performance.now() - startedAt) * NANOSECONDS_PER_MS),
    prompt_eval_count: usage.promptTokens,
    ...warningsOf(body, reply),
  };
}

/** The vector of one text, as Ollama told it at first. */
export async function embedOne(
  service: Service,
  body: OldEmbedBody,
  signal: AbortSignal,
): Promise<object> {
  const question = { model: body.model, texts: body.prompt, truncate: true, signal };
  const reply = await embedTexts(service, question);
  return { embedding: reply.embeddings[0], ...warningsOf(body, reply) };
}

/** What is only for chats here. */
function warningsOf(
  { keep_alive, options }: EmbedBody | OldEmbedBody,
  { provider, warnings: said }: EmbeddingResponse,
): object {
  const names = Object.entries({ keep_alive, options }).filter(([, value]) => value != null);
  const left = names.map(([name]) => `${name} was left out: ${provider} is not told it here`);
  const warnings = [...said, ...left];
  return warnings.length > 0 ? { warnings } : {};
}
