import { ProtocolError } from "../errors.js";
import { countOf, type Fields, fieldsOf, listOf, textOf } from "../fields.js";
import { detailsOf, type Where } from "../http/where.js";
import type { EmbeddingResponse } from "../types.js";
import { isSameModel, otherModel } from "./model-name.js";

/** The answer of `/v1/embeddings` to so many texts, checked. */
export function toEmbeddings(
  body: unknown,
  count: number,
  asked: string,
  where: Where,
): EmbeddingResponse {
  const { data, model, usage } = fieldsOf(body);
  const served = textOf(model) ?? asked;
  if (!isSameModel(asked, served)) throw otherModel(asked, served, where);
  const embeddings = inOrder(listOf(data));
  if (embeddings.length !== count || !isVectors(embeddings)) {
    throw new ProtocolError(
      `The server did not give one vector for each of ${count} texts.`,
      detailsOf(where),
    );
  }
  const { prompt_tokens, total_tokens } = fieldsOf(usage);
  return {
    embeddings,
    model: served,
    provider: where.provider,
    usage: { promptTokens: countOf(prompt_tokens), totalTokens: countOf(total_tokens) },
    warnings: [],
  };
}

/** Servers may answer in any order. */
function inOrder(entries: Fields[]): unknown[] {
  const placed: unknown[] = [];
  for (const [place, { index = place, embedding }] of entries.entries()) {
    if (typeof index === "number" && index >= 0 && index < entries.length)
      placed[index] = embedding;
  }
  // Two for one text leave a gap, which is no vector.
  return Array.from(placed);
}

function isVectors(values: unknown[]): values is number[][] {
  return values.every(
    (value) => Array.isArray(value) && value.length > 0 && value.every(Number.isFinite),
  );
}
