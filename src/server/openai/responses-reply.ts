import type { LLMResponse, StreamEvent, ToolCall } from "../../index.js";
import type { Failure } from "../failures.js";
import { argumentsText, COMMENT, type ReplyWriter, sentEvent, withWarnings } from "../protocol.js";
import type { ResponsesBody } from "./responses-schema.js";

/** An item of the output, and the text that it grows by. */
interface OpenItem {
  kind: "message" | "reasoning";
  id: string;
  text: string;
  place: number;
}

/** An item that is a call. */
interface CallPlace {
  item_id: string;
  output_index: number;
}

/** Tells a reply as a response, with its events. */
export class ResponsesReply implements ReplyWriter {
  readonly #body: ResponsesBody;
  readonly #created = Math.floor(Date.now() / 1000);
  /** Items by their places; those that are not whole yet are missing. */
  readonly #output: object[] = [];
  #places = 0;
  /** Calls whose arguments have begun, by their ids. */
  readonly #calls = new Map<string, CallPlace>();
  #head: object = {};
  #responseId = "";
  #open: OpenItem | undefined;
  #sequence = 0;

  constructor(body: ResponsesBody) {
    this.#body = body;
  }

  whole(response: LLMResponse): object {
    const { content, reasoning, toolCalls = [] } = response;
    this.#begin(response);
    if (reasoning) this.#output.push(reasoningItem(this.#id("rs", 0), reasoning, "completed"));
    if (content) this.#output.push(messageItem(this.#id("msg", 1), content, "completed"));
    for (const [index, call] of toolCalls.entries()) {
      this.#output.push(callItem(this.#id("fc", index + 2), call));
    }
    return this.#ended(response);
  }

  event(event: StreamEvent): string {
    switch (event.type) {
      case "start": {
        this.#begin(event);
        const response = this.#state("in_progress");
        return (
          this.#tell("response.created", { response }) +
          this.#tell("response.in_progress", { response })
        );
      }
      case "text":
        return this.#piece("message", event.text);
      case "reasoning":
        return this.#piece("reasoning", event.text);
      case "tool-call-delta":
        return this.#call(event, event.argumentsDelta);
      case "tool-call":
        return this.#endCall(event.toolCall);
      case "finish": {
        const end = this.#close();
        const response = this.#ended(event.response);
        const isWhole = event.response.finishReason !== "length";
        return end + this.#tell(`response.${isWhole ? "completed" : "incomplete"}`, { response });
      }
    }
  }

  failed({ code, message }: Failure): string {
    const error = { code, message };
    const response = { ...this.#state("failed"), error };
    // The one is for whoever shows the response, the other for the library, which throws it.
    return (
      this.#tell("response.failed", { response }) + this.#tell("error", { ...error, param: null })
    );
  }

  keepAlive(): string {
    return COMMENT;
  }

  #begin({ responseId, model }: Pick<LLMResponse, "responseId" | "model">): void {
    const { instructions, temperature, top_p, max_output_tokens, metadata } = this.#body;
    this.#responseId = responseId;
    this.#head = {
      id: `resp_${responseId}`,
      object: "response",
      created_at: this.#created,
      model,
      error: null,
      incomplete_details: null,
      instructions: instructions ?? null,
      max_output_tokens: max_output_tokens ?? null,
      metadata: metadata ?? {},
      parallel_tool_calls: true,
      previous_response_id: null,
      store: false,
      temperature: temperature ?? null,
      text: { format: this.#body.text?.format ?? { type: "text" } },
      tool_choice: this.#body.tool_choice ?? "auto",
      tools: this.#body.tools ?? [],
      top_p: top_p ?? null,
      truncation: "disabled",
    };
  }

  #state(status: string): object {
    return { ...this.#head, status, output: this.#output.filter(Boolean), usage: null };
  }

  #ended(response: LLMResponse): object {
    const isCut = response.finishReason === "length";
    return withWarnings(response, {
      ...this.#state(isCut ? "incomplete" : "completed"),
      incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
      usage: usageOf(response),
    });
  }

  #piece(kind: OpenItem["kind"], text: string): string {
    const begin = this.#open?.kind === kind ? "" : this.#close() + this.#openItem(kind);
    const open = this.#open!;
    open.text += text;
    const delta = { ...placeOf(open), delta: text };
    if (kind === "reasoning") return begin + this.#tell("response.reasoning_text.delta", delta);
    return begin + this.#tell("response.output_text.delta", { ...delta, logprobs: [] });
  }

  #openItem(kind: OpenItem["kind"]): string {
    const place = this.#places++;
    const open = { kind, id: this.#id(kind === "message" ? "msg" : "rs", place), text: "", place };
    this.#open = open;
    const item = { ...itemOf(open, "in_progress"), content: [] };
    return (
      this.#tell("response.output_item.added", { output_index: place, item }) +
      this.#tell("response.content_part.added", { ...placeOf(open), part: partOf(kind, "") })
    );
  }

  #close(): string {
    const open = this.#open;
    if (!open) return "";
    this.#open = undefined;
    const { kind, text, place } = open;
    const item = itemOf(open, "completed");
    this.#output[place] = item;
    const whole = { ...placeOf(open), text };
    const done =
      kind === "message"
        ? this.#tell("response.output_text.done", { ...whole, logprobs: [] })
        : this.#tell("response.reasoning_text.done", whole);
    return (
      done +
      this.#tell("response.content_part.done", { ...placeOf(open), part: partOf(kind, text) }) +
      this.#tell("response.output_item.done", { output_index: place, item })
    );
  }

  #call({ id, name }: Pick<ToolCall, "id" | "name">, delta: string): string {
    let begin = "";
    if (!this.#calls.has(id)) {
      const output_index = this.#places++;
      const item_id = this.#id("fc", output_index);
      this.#calls.set(id, { item_id, output_index });
      const item = { ...callItem(item_id, { id, name, arguments: {} }), arguments: "" };
      const begun = { output_index, item: { ...item, status: "in_progress" } };
      begin = this.#close() + this.#tell("response.output_item.added", begun);
    }
    const place = this.#calls.get(id)!;
    return begin + this.#tell("response.function_call_arguments.delta", { ...place, delta });
  }

  #endCall(call: ToolCall): string {
    const text = argumentsText(call);
    // What came in pieces is there already.
    const piece = this.#calls.has(call.id) ? "" : this.#call(call, text);
    const place = this.#calls.get(call.id)!;
    const { item_id, output_index } = place;
    const item = callItem(item_id, call);
    this.#output[output_index] = item;
    const whole = { ...place, name: call.name, arguments: text };
    return (
      piece +
      this.#tell("response.function_call_arguments.done", whole) +
      this.#tell("response.output_item.done", { output_index, item })
    );
  }

  #id(kind: string, place: number): string {
    return `${kind}_${this.#responseId}_${place}`;
  }

  #tell(type: string, fields: object): string {
    return sentEvent({ type, sequence_number: this.#sequence++, ...fields }, type);
  }
}

function placeOf({ id, place }: OpenItem): object {
  return { item_id: id, output_index: place, content_index: 0 };
}

function itemOf({ kind, id, text }: OpenItem, status: string): object {
  return kind === "message" ? messageItem(id, text, status) : reasoningItem(id, text, status);
}

function messageItem(id: string, text: string, status: string): object {
  return { id, type: "message", role: "assistant", status, content: [partOf("message", text)] };
}

function reasoningItem(id: string, text: string, status: string): object {
  return { id, type: "reasoning", status, summary: [], content: [partOf("reasoning", text)] };
}

function partOf(kind: OpenItem["kind"], text: string): object {
  if (kind === "reasoning") return { type: "reasoning_text", text };
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function callItem(id: string, call: ToolCall): object {
  const { id: call_id, name } = call;
  const status = "completed";
  return { id, type: "function_call", status, call_id, name, arguments: argumentsText(call) };
}

function usageOf({ usage }: LLMResponse): object | null {
  const { promptTokens, completionTokens, cachedTokens = 0, reasoningTokens = 0 } = usage;
  if (promptTokens === undefined && completionTokens === undefined) return null;
  const [input, output] = [promptTokens ?? 0, completionTokens ?? 0];
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: usage.totalTokens ?? input + output,
  };
}
