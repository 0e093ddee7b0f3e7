import type { EmbeddingResponse } from "../index.js";
import { refuseUnsupported } from "./failures.js";
import { modelFor } from "./models.js";
import { given } from "./schemas.js";
import type { Service } from "./service.js";

/** What vectors a request is for. */
export interface EmbedQuestion {
  model?: string | null | undefined;
  texts: string | string[];
  dimensions?: number | null | undefined;
  truncate?: boolean;
  signal: AbortSignal;
}

/** One vector for each text; throws a `Refusal` where the provider has none. */
export async function embedTexts(
  service: Service,
  { model: name, texts, dimensions, truncate, signal }: EmbedQuestion,
): Promise<EmbeddingResponse> {
  const model = modelFor(service, name ?? undefined);
  const options = { ...given({ model, dimensions, truncate }), signal };
  const leave = await service.gate.enter(signal);
  return service.client.embed(texts, options).catch(refuseUnsupported).finally(leave);
}
