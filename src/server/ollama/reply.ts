import type { LLMResponse, StreamEvent, TokenLogprob, ToolCall } from "../../index.js";
import type { Failure } from "../failures.js";
import { type ReplyWriter, withWarnings } from "../protocol.js";

const NANOSECONDS = 1_000_000_000;

/** What one piece of a reply holds. */
export interface Piece {
  text?: string;
  thinking?: string;
  toolCalls?: ToolCall[];
}

/** Tells a reply as Ollama does; `pieceOf` is what distinguishes its endpoints. */
export class OllamaReply implements ReplyWriter {
  readonly #pieceOf: (piece: Piece) => object;
  #model: string;
  /** Tokens whose probabilities were sent. */
  #toldTokens = 0;

  constructor(model: string, pieceOf: (piece: Piece) => object) {
    this.#model = model;
    this.#pieceOf = pieceOf;
  }

  whole(response: LLMResponse): object {
    const { content: text, reasoning: thinking, toolCalls } = response;
    this.#model = response.model;
    return this.#body({ text, thinking, toolCalls }, endOf(response));
  }

  event(event: StreamEvent): string {
    switch (event.type) {
      case "start":
        this.#model = event.model;
        return "";
      case "text":
        return this.#line({ text: event.text }, this.#told(event.logprobs));
      case "reasoning":
        return this.#line({ thinking: event.text }, this.#told(event.logprobs));
      case "tool-call-delta":
        // There are no parts of calls; the whole one follows.
        return "";
      case "tool-call":
        return this.#line({ toolCalls: [event.toolCall] });
      case "finish":
        return this.#line({}, endOf(event.response, this.#toldTokens));
    }
  }

  failed({ message }: Failure): string {
    return `${JSON.stringify({ error: message })}\n`;
  }

  keepAlive(): string {
    return this.#line({});
  }

  #told(logprobs?: TokenLogprob[]): object {
    this.#toldTokens += logprobs?.length ?? 0;
    return { done: false, ...(logprobs && { logprobs: logprobs.map(tokenOf) }) };
  }

  #line(piece: Piece, end: object = { done: false }): string {
    return `${JSON.stringify(this.#body(piece, end))}\n`;
  }

  #body(piece: Piece, end: object): object {
    return { model: this.#model, created_at: now(), ...this.#pieceOf(piece), ...end };
  }
}

/** A piece as a message, for chats. */
export function asMessage({ text = "", thinking, toolCalls = [] }: Piece): object {
  const message = {
    role: "assistant",
    content: text,
    ...(thinking ? { thinking } : {}),
    ...(toolCalls.length > 0 ? { tool_calls: toolCalls.map(callOf) } : {}),
  };
  return { message };
}

/** A piece as text that continues a prompt. */
export function asResponse({ text = "", thinking }: Piece): object {
  return { response: text, ...(thinking ? { thinking } : {}) };
}

/** What is told where a model was only loaded, or unloaded. */
export function withoutReply(model: string, piece: object, reason: "load" | "unload"): object {
  return { model, created_at: now(), ...piece, done: true, done_reason: reason };
}

function callOf({ id, name, arguments: given }: ToolCall): object {
  return { id, function: { name, arguments: given } };
}

/** `told` is how many tokens had their probabilities told. */
function endOf(response: LLMResponse, told = 0): object {
  const { finishReason, latencyMs, usage, timings, logprobs } = response;
  const { promptTokens, completionTokens, cachedTokens = 0 } = usage;
  const read = promptTokens === undefined ? undefined : promptTokens - cachedTokens;
  return withWarnings(response, {
    done: true,
    done_reason: finishReason === "length" ? "length" : "stop",
    total_duration: Math.round((latencyMs / 1000) * NANOSECONDS),
    prompt_eval_count: promptTokens,
    prompt_eval_duration: durationOf(read, timings.promptTokensPerSecond),
    eval_count: completionTokens,
    eval_duration: durationOf(completionTokens, timings.tokensPerSecond),
    logprobs: logprobs?.slice(told).map(tokenOf),
  });
}

function durationOf(count: number | undefined, perSecond: number | undefined): number | undefined {
  if (count === undefined || !perSecond) return undefined;
  return Math.round((count / perSecond) * NANOSECONDS);
}

function tokenOf({ token, logprob, bytes, topLogprobs }: TokenLogprob): object {
  const top = topLogprobs.map(({ token, logprob, bytes }) => ({ token, logprob, bytes }));
  return { token, logprob, bytes, top_logprobs: top };
}

function now(): string {
  return new Date().toISOString();
}
