import { AuthenticationError, LLMError, ModelNotFoundError } from "../errors.js";
import type { ProviderHealth } from "../types.js";
import { findByName } from "./model-info.js";
import type { OllamaServer } from "./server.js";

/** Finds out how far a request would come, without loading a model; never throws. */
export async function checkHealth(
  server: OllamaServer,
  model: string | undefined,
  signal: AbortSignal,
): Promise<ProviderHealth> {
  const startedAt = performance.now();
  const seen: Partial<ProviderHealth> = { reachable: false, model };
  const failure = await look(server, seen, signal).then(
    () => undefined,
    (error: unknown) => asFailure(error, seen),
  );
  return {
    provider: "ollama",
    healthy: failure === undefined,
    reachable: false,
    url: server.url,
    ...seen,
    latencyMs: performance.now() - startedAt,
    ...failure,
  };
}

/** Notes what it sees until something is wrong. */
async function look(
  server: OllamaServer,
  seen: Partial<ProviderHealth>,
  signal: AbortSignal,
): Promise<void> {
  seen.version = await server.version(signal);
  seen.reachable = true;
  seen.authenticated = true;
  const model = seen.model ?? (await server.findModel("completion", signal));
  seen.model = model;
  await server.show(model, signal);
  seen.modelPresent = true;
  seen.modelLoaded = findByName(await server.running(signal), model) !== undefined;
}

function asFailure(error: unknown, seen: Partial<ProviderHealth>): Partial<ProviderHealth> {
  if (!LLMError.is(error)) throw error;
  const { code, message: reason, hint } = error;
  if (error.status !== undefined) seen.reachable = true;
  if (AuthenticationError.is(error)) seen.authenticated = false;
  if (ModelNotFoundError.is(error)) seen.modelPresent = false;
  return { code, reason, hint };
}
