import type { FinishReason, LLMResponse, StreamEvent, ToolCall } from "../../index.js";
import type { Failure } from "../failures.js";
import { argumentsText, type ReplyWriter, sentEvent, withWarnings } from "../protocol.js";
import { errorBody } from "./errors.js";

const STOP_REASONS: Record<FinishReason, string> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal",
  other: "end_turn",
};

/** Nothing is signed here; programs send the field back as it came. */
const SIGNATURE = "";

type BlockKind = "text" | "thinking";

/** Tells a reply as a message of Anthropic's. */
export class MessagesReply implements ReplyWriter {
  readonly #requestId: string;
  /** Blocks that have begun. */
  #count = 0;
  #open: BlockKind | undefined;
  /** Places of the calls whose arguments have begun, by their ids. */
  readonly #calls = new Map<string, number>();

  constructor(requestId: string) {
    this.#requestId = requestId;
  }

  whole(response: LLMResponse): object {
    const { content, reasoning, toolCalls = [], responseId, model } = response;
    const blocks = [
      ...(reasoning ? [{ type: "thinking", thinking: reasoning, signature: SIGNATURE }] : []),
      ...(content ? [{ type: "text", text: content, citations: null }] : []),
      ...toolCalls.map((call) => ({ ...callOf(call), input: call.arguments })),
    ];
    return withWarnings(response, {
      ...messageOf(responseId, model),
      content: blocks,
      ...endOf(response),
      usage: usageOf(response),
    });
  }

  event(event: StreamEvent): string {
    switch (event.type) {
      case "start":
        return tell("message_start", {
          message: {
            ...messageOf(event.responseId, event.model),
            content: [],
            // Most providers count only at the end.
            usage: { input_tokens: event.promptTokens ?? 0, output_tokens: 0 },
          },
        });
      case "text":
        return this.#piece("text", { text: "", citations: null }, "text_delta", event.text);
      case "reasoning":
        return this.#piece(
          "thinking",
          { thinking: "", signature: SIGNATURE },
          "thinking_delta",
          event.text,
        );
      case "tool-call-delta":
        return this.#call(event, event.argumentsDelta);
      case "tool-call":
        return this.#endCall(event.toolCall);
      case "finish":
        return this.#finish(event.response);
    }
  }

  failed(failure: Failure): string {
    return sentEvent(errorBody(failure, this.#requestId), "error");
  }

  keepAlive(): string {
    return tell("ping", {});
  }

  #piece(kind: BlockKind, empty: object, type: string, text: string): string {
    let begin = "";
    if (this.#open !== kind) {
      begin = this.#end() + this.#begin({ type: kind, ...empty });
      this.#open = kind;
    }
    return begin + delta(this.#count - 1, { type, [kind]: text });
  }

  #call(call: Pick<ToolCall, "id" | "name">, partial_json: string): string {
    let begin = "";
    if (!this.#calls.has(call.id)) {
      begin = this.#end() + this.#begin({ ...callOf(call), input: {} });
      this.#calls.set(call.id, this.#count - 1);
    }
    const index = this.#calls.get(call.id)!;
    return begin + delta(index, { type: "input_json_delta", partial_json });
  }

  #endCall(call: ToolCall): string {
    // What came in pieces is there already.
    const piece = this.#calls.has(call.id) ? "" : this.#call(call, argumentsText(call));
    return piece + tell("content_block_stop", { index: this.#calls.get(call.id) });
  }

  #begin(block: object): string {
    return tell("content_block_start", { index: this.#count++, content_block: block });
  }

  #end(): string {
    if (!this.#open) return "";
    this.#open = undefined;
    return tell("content_block_stop", { index: this.#count - 1 });
  }

  #finish(response: LLMResponse): string {
    const body = withWarnings(response, { delta: endOf(response), usage: usageOf(response) });
    return this.#end() + tell("message_delta", body) + tell("message_stop", {});
  }
}

function delta(index: number, fields: object): string {
  return tell("content_block_delta", { index, delta: fields });
}

function tell(type: string, fields: object): string {
  return sentEvent({ type, ...fields }, type);
}

function messageOf(responseId: string, model: string): object {
  const id = `msg_${responseId}`;
  const empty = { stop_reason: null, stop_sequence: null };
  return { id, type: "message", role: "assistant", model, ...empty };
}

function callOf({ id, name }: Pick<ToolCall, "id" | "name">): object {
  return { type: "tool_use", id, name };
}

/** Why a reply ended; not every provider tells by which text. */
function endOf({ finishReason, stopSequence }: LLMResponse): object {
  const isStopped = finishReason === "stop" && stopSequence !== undefined;
  const stop_reason = isStopped ? "stop_sequence" : STOP_REASONS[finishReason];
  return { stop_reason, stop_sequence: stopSequence ?? null };
}

/** The counts must be numbers there; what a provider does not tell is 0. */
function usageOf({ usage }: LLMResponse): object {
  const { promptTokens = 0, completionTokens = 0, cachedTokens = 0 } = usage;
  return {
    input_tokens: promptTokens - cachedTokens,
    output_tokens: completionTokens,
    cache_read_input_tokens: cachedTokens,
    cache_creation_input_tokens: 0,
  };
}
