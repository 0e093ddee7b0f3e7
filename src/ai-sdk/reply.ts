import type {
  JSONObject,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { LLMResponse, StreamEvent, ToolCall, Usage } from "../index.js";
import { OPTIONS_NAME } from "./request.js";

type Part = LanguageModelV3StreamPart;

/** What a whole reply holds, in the order in which models write. */
export function contentOf({ reasoning, content, toolCalls = [] }: LLMResponse) {
  const parts: LanguageModelV3Content[] = [];
  if (reasoning) parts.push({ type: "reasoning", text: reasoning });
  if (content) parts.push({ type: "text", text: content });
  return [...parts, ...toolCalls.map(callPart)];
}

function callPart({ id, name, arguments: given, invalidArguments }: ToolCall) {
  // What is no JSON object goes to the AI SDK as it is, which tells the model what is wrong with it.
  const input = invalidArguments ?? JSON.stringify(given);
  return { type: "tool-call" as const, toolCallId: id, toolName: name, input };
}

/** How a reply ended and what it cost. */
export function endOf(response: LLMResponse) {
  const { finishReason, usage } = response;
  return {
    finishReason: {
      unified: finishReason.replace("_", "-") as LanguageModelV3FinishReason["unified"],
      raw: finishReason,
    },
    usage: usageOf(usage),
    providerMetadata: metadataOf(response),
  };
}

/** Which reply it is. */
export function identityOf({ responseId, model }: { responseId: string; model: string }) {
  return { id: responseId, modelId: model, timestamp: new Date() };
}

/** Notes of the client as warnings. */
export function warningsOf(notes: string[]): SharedV3Warning[] {
  return notes.map((message) => ({ type: "other", message }));
}

function usageOf(usage: Usage): LanguageModelV3Usage {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage;
  const noCache = difference(promptTokens, cachedTokens);
  const text = difference(completionTokens, reasoningTokens);
  return {
    inputTokens: { total: promptTokens, noCache, cacheRead: cachedTokens, cacheWrite: undefined },
    outputTokens: { total: completionTokens, text, reasoning: reasoningTokens },
    raw: asJson(usage),
  };
}

/** What is not known of one of them is not known of the rest. */
function difference(all: number | undefined, part: number | undefined): number | undefined {
  return all === undefined || part === undefined ? undefined : all - part;
}

function metadataOf(response: LLMResponse): SharedV3ProviderMetadata {
  const { provider, requestId, usedFallback, fallbackProvider, retryCount, attempts } = response;
  const { timings, latencyMs, logprobs, warnings } = response;
  const told = { provider, requestId, usedFallback, fallbackProvider, retryCount, attempts };
  return { [OPTIONS_NAME]: asJson({ ...told, timings, latencyMs, logprobs, warnings }) };
}

function asJson(value: object): JSONObject {
  return JSON.parse(JSON.stringify(value)) as JSONObject;
}

/** Tells the events of a reply as parts of a stream: each block of text has a start and an end. */
export class ReplyParts {
  readonly #warnings: SharedV3Warning[];
  readonly #includeRaw: boolean;
  #open: { type: "text" | "reasoning"; id: string } | undefined;
  #blocks = 0;
  /** Calls whose arguments are still coming. */
  readonly #inputs = new Set<string>();

  constructor(warnings: SharedV3Warning[], includeRaw = false) {
    this.#warnings = warnings;
    this.#includeRaw = includeRaw;
  }

  of(event: StreamEvent): Part[] {
    const parts = this.#partsOf(event);
    if (!this.#includeRaw) return parts;
    const raw: Part = { type: "raw", rawValue: event };
    // The start of a stream is always its first part.
    return event.type === "start" ? [...parts, raw] : [raw, ...parts];
  }

  /** The end of a reply that broke off. */
  failed(error: unknown): Part[] {
    const usage = usageOf({});
    const finishReason = { unified: "error" as const, raw: undefined };
    return [...this.#close(), { type: "error", error }, { type: "finish", usage, finishReason }];
  }

  #partsOf(event: StreamEvent): Part[] {
    switch (event.type) {
      case "start":
        return [
          { type: "stream-start", warnings: [...this.#warnings, ...warningsOf(event.warnings)] },
          { type: "response-metadata", ...identityOf(event) },
        ];
      case "text":
      case "reasoning":
        return this.#text(event.type, event.text);
      case "tool-call-delta":
        return [
          ...this.#input(event),
          { type: "tool-input-delta", id: event.id, delta: event.argumentsDelta },
        ];
      case "tool-call":
        return this.#call(event.toolCall);
      case "finish":
        return [...this.#close(), { type: "finish", ...endOf(event.response) }];
    }
  }

  #text(type: "text" | "reasoning", delta: string): Part[] {
    if (this.#open?.type === type) return [{ type: `${type}-delta`, id: this.#open.id, delta }];
    const closed = this.#closeText();
    const id = String(this.#blocks++);
    this.#open = { type, id };
    return [...closed, { type: `${type}-start`, id }, { type: `${type}-delta`, id, delta }];
  }

  #input({ id, name }: { id: string; name: string }): Part[] {
    if (this.#inputs.has(id)) return [];
    this.#inputs.add(id);
    return [...this.#closeText(), { type: "tool-input-start", id, toolName: name }];
  }

  #call(call: ToolCall): Part[] {
    const part = callPart(call);
    const { id } = call;
    // What came in pieces is there already.
    const delta: Part[] = this.#inputs.has(id)
      ? []
      : [...this.#input(call), { type: "tool-input-delta", id, delta: part.input }];
    this.#inputs.delete(id);
    return [...delta, { type: "tool-input-end", id }, part];
  }

  #close(): Part[] {
    const inputs = [...this.#inputs].map((id): Part => ({ type: "tool-input-end", id }));
    this.#inputs.clear();
    return [...this.#closeText(), ...inputs];
  }

  #closeText(): Part[] {
    const open = this.#open;
    this.#open = undefined;
    return open ? [{ type: `${open.type}-end`, id: open.id }] : [];
  }
}
