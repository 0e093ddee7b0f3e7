import type { Attributes } from "@opentelemetry/api";
import type { LLMResponse, StartInfo } from "../index.js";

/** The operation, in the words of the conventions for generative AI. */
export const OPERATION = { "gen_ai.operation.name": "chat" };

/** What is known of a call when it begins. */
export function requestAttributes({ request, streams, requestId }: StartInfo): Attributes {
  const { stop, responseFormat } = request;
  return {
    ...OPERATION,
    "mlx_llm_client.request_id": requestId,
    "gen_ai.request.model": request.model,
    "gen_ai.request.stream": streams,
    "gen_ai.request.temperature": request.temperature,
    "gen_ai.request.top_p": request.topP,
    "gen_ai.request.top_k": request.topK,
    "gen_ai.request.max_tokens": request.maxTokens,
    "gen_ai.request.seed": request.seed,
    "gen_ai.request.presence_penalty": request.presencePenalty,
    "gen_ai.request.frequency_penalty": request.frequencyPenalty,
    "gen_ai.request.stop_sequences": typeof stop === "string" ? [stop] : stop,
    "gen_ai.output.type": responseFormat && outputType(responseFormat.type),
  };
}

function outputType(format: string): string {
  return format.startsWith("json") ? "json" : "text";
}

/** What is known of a call once its reply is whole. */
export function responseAttributes(response: LLMResponse, streams: boolean): Attributes {
  const { usage, timings } = response;
  const firstToken = timings.firstTokenMs;
  return {
    "gen_ai.response.id": response.responseId,
    "gen_ai.response.finish_reasons": [response.finishReason],
    "gen_ai.response.time_to_first_chunk":
      streams && firstToken !== undefined ? firstToken / 1000 : undefined,
    "gen_ai.usage.input_tokens": usage.promptTokens,
    "gen_ai.usage.output_tokens": usage.completionTokens,
    "gen_ai.usage.cache_read.input_tokens": usage.cachedTokens,
    "gen_ai.usage.reasoning.output_tokens": usage.reasoningTokens,
    "mlx_llm_client.retry_count": response.retryCount,
    "mlx_llm_client.used_fallback": response.usedFallback,
  };
}
