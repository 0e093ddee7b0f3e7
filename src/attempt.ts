import { abortedBy } from "./abort.js";
import { GenerationError, LLMError } from "./errors.js";
import {
  type CallContext,
  checkCapabilities,
  type Provider,
  type ProviderEvent,
} from "./providers/provider.js";
import type { CheckedRequest } from "./request.js";
import type { Attempt, LLMResponse, StreamEvent } from "./types.js";

/**
 * Sends a request to a provider once. Collects the reply, and tells in it, or in the error, what
 * was tried and how far it came; an error also has the text that came before it.
 */
export async function* runAttempt(
  provider: Provider,
  request: CheckedRequest,
  context: CallContext,
): AsyncGenerator<StreamEvent> {
  const { signal, requestId, responseId, startedAt } = context;
  const ids = { provider: provider.name, requestId, responseId };
  let model = request.model ?? provider.defaultModel;
  let phase = provider.firstPhase;
  let warnings: string[] = [];
  const reply: Reply = { content: "" };
  const attempt = (code?: string): Attempt => ({
    leg: 0,
    provider: provider.name,
    model,
    phase,
    ...(code !== undefined && { code }),
    durationMs: performance.now() - startedAt,
  });
  try {
    const leftOut = checkCapabilities(request, provider);
    for await (const event of provider.stream(request, context)) {
      if (event.type === "start") {
        model = event.model;
        phase = "prompt";
        warnings = [...leftOut, ...event.warnings];
        yield { type: "start", ...ids, model, warnings: [...warnings] };
      } else if (event.type === "finish") {
        const { type: _type, ...end } = event;
        phase = "done";
        const done = attempt();
        const told = { model: model!, latencyMs: done.durationMs, attempts: [done], warnings };
        const tries = { retryCount: 0, usedFallback: false };
        yield { type: "finish", response: { ...reply, ...ids, ...told, ...tries, ...end } };
      } else {
        phase = "stream";
        collect(reply, event);
        yield event;
      }
    }
  } catch (error) {
    const failure = signal.aborted ? abortedBy(signal) : typed(error);
    throw failure.with({
      provider: provider.name,
      model,
      requestId,
      partial: reply.content === "" ? undefined : reply.content,
      attempts: [attempt(failure.code)],
    });
  }
}

/** What the events of a reply add up to. */
type Reply = Pick<LLMResponse, "content" | "reasoning" | "toolCalls">;

function collect(reply: Reply, event: Exclude<ProviderEvent, { type: "start" | "finish" }>): void {
  if (event.type === "text") reply.content += event.text;
  else if (event.type === "reasoning") reply.reasoning = (reply.reasoning ?? "") + event.text;
  else reply.toolCalls = [...(reply.toolCalls ?? []), event.toolCall];
}

function typed(error: unknown): LLMError {
  if (LLMError.is(error)) return error;
  return new GenerationError(`Generating failed: ${String(error)}`, { cause: error });
}
