import { abortedBy } from "../abort.js";
import {
  AuthenticationError,
  GenerationError,
  LLMError,
  ModelNotFoundError,
  ProtocolError,
} from "../errors.js";
import type { ProviderHealth, ProviderName } from "../types.js";

/** What is known before a check. */
export interface HealthSubject {
  provider: ProviderName;
  url: string;
  model: string | undefined;
}

/** Lets `look` note what it sees until something is wrong; never throws. */
export async function checkHealth(
  subject: HealthSubject,
  look: (seen: Partial<ProviderHealth>) => Promise<void>,
  signal: AbortSignal,
): Promise<ProviderHealth> {
  const startedAt = performance.now();
  const seen: Partial<ProviderHealth> = {};
  const failure = await failureOf(() => look(seen), signal);
  return {
    ...subject,
    healthy: failure === undefined,
    reachable: failure === undefined || isAnswer(failure),
    ...seen,
    ...(failure && describe(failure)),
    latencyMs: performance.now() - startedAt,
  };
}

async function failureOf(
  work: () => Promise<void>,
  signal: AbortSignal,
): Promise<LLMError | undefined> {
  try {
    signal.throwIfAborted();
    await work();
  } catch (error) {
    if (signal.aborted) return abortedBy(signal);
    if (LLMError.is(error)) return error;
    return new GenerationError(`The check failed: ${String(error)}`, { cause: error });
  }
}

function isAnswer(error: LLMError): boolean {
  return error.status !== undefined || ProtocolError.is(error) || ModelNotFoundError.is(error);
}

function describe(error: LLMError): Partial<ProviderHealth> {
  const { code, message: reason, hint } = error;
  return {
    code,
    reason,
    hint,
    ...(AuthenticationError.is(error) && { authenticated: false }),
    ...(ModelNotFoundError.is(error) && { modelPresent: false }),
  };
}
