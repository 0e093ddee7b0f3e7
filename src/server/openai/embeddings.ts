import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { embedTexts } from "../embed-texts.js";
import { anything, may } from "../schemas.js";
import type { Service } from "../service.js";

const text = allow.text("a text that is not empty");

/** The fields of a request for embeddings that this server knows. */
export const embeddingsSchema = z.strictObject(
  {
    model: may(text),
    input: z.union([text, z.array(text).check(z.minLength(1, "a text"))], "a text, or texts"),
    encoding_format: may(z.enum(["float", "base64"], '"float" or "base64"')),
    dimensions: may(allow.whole(1)),
    user: anything,
  },
  "an object { model, input }",
);

/** One vector for each text; throws a `Refusal` where the provider has none. */
export async function embed(
  service: Service,
  body: z.infer<typeof embeddingsSchema>,
  signal: AbortSignal,
): Promise<object> {
  const question = { model: body.model, texts: body.input, dimensions: body.dimensions, signal };
  const { embeddings, usage, model } = await embedTexts(service, question);
  const isBase64 = body.encoding_format === "base64";
  const tokens = usage.promptTokens ?? 0;
  return {
    object: "list",
    model,
    data: embeddings.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: isBase64 ? toBase64(vector) : vector,
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

function toBase64(vector: number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString("base64");
}
