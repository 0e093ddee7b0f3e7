import type { LLMResponse, StreamEvent, TokenLogprob, ToolCall } from "../../index.js";
import type { Failure } from "../failures.js";
import { argumentsText, COMMENT, type ReplyWriter, sentEvent, withWarnings } from "../protocol.js";
import { errorBody } from "./errors.js";
import { FINISH_REASONS, timingsOf, usageOf } from "./usage.js";

/** Tells a reply as a chat completion. */
export class ChatReply implements ReplyWriter {
  readonly #created = Math.floor(Date.now() / 1000);
  readonly #includeUsage: boolean;
  #head: object = {};
  /** Calls by their ids; a place in the list for each. */
  readonly #calls: string[] = [];
  /** Tokens whose probabilities were sent. */
  #toldTokens = 0;

  constructor(includeUsage: boolean) {
    this.#includeUsage = includeUsage;
  }

  whole(response: LLMResponse): object {
    const { content, reasoning, toolCalls, finishReason, model, responseId } = response;
    const calls = toolCalls && toolCalls.length > 0 ? toolCalls.map(callOf) : undefined;
    const message = {
      role: "assistant",
      content: content === "" && calls ? null : content,
      refusal: null,
      ...(reasoning ? { reasoning_content: reasoning } : {}),
      ...(calls ? { tool_calls: calls } : {}),
    };
    const choice = {
      index: 0,
      message,
      logprobs: logprobsOf(response.logprobs),
      finish_reason: FINISH_REASONS[finishReason],
    };
    return withWarnings(response, {
      id: idOf(responseId),
      object: "chat.completion",
      created: this.#created,
      model,
      choices: [choice],
      usage: usageOf(response),
      timings: timingsOf(response),
    });
  }

  event(event: StreamEvent): string {
    switch (event.type) {
      case "start":
        this.#head = {
          id: idOf(event.responseId),
          object: "chat.completion.chunk",
          created: this.#created,
          model: event.model,
        };
        return this.#delta({ role: "assistant", content: "" });
      case "text":
        return this.#delta({ content: event.text }, event.logprobs);
      case "reasoning":
        return this.#delta({ reasoning_content: event.text }, event.logprobs);
      case "tool-call-delta":
        return this.#call(event.id, event.name, event.argumentsDelta);
      case "tool-call":
        // What came in pieces is there already.
        if (this.#calls.includes(event.toolCall.id)) return "";
        return this.#call(event.toolCall.id, event.toolCall.name, argumentsText(event.toolCall));
      case "finish":
        return this.#finish(event.response);
    }
  }

  failed(failure: Failure): string {
    return sentEvent(errorBody(failure));
  }

  keepAlive(): string {
    return COMMENT;
  }

  #call(id: string, name: string, more: string): string {
    const known = this.#calls.indexOf(id);
    const index = known < 0 ? this.#calls.push(id) - 1 : known;
    const head = known < 0 ? { id, type: "function" } : {};
    const fields = { ...(known < 0 ? { name } : {}), arguments: more };
    return this.#delta({ tool_calls: [{ index, ...head, function: fields }] });
  }

  #delta(delta: object, tokens?: TokenLogprob[]): string {
    this.#toldTokens += tokens?.length ?? 0;
    const logprobs = logprobsOf(tokens);
    return this.#chunk({ choices: [{ index: 0, delta, logprobs, finish_reason: null }] });
  }

  #chunk(fields: object): string {
    const usage = this.#includeUsage ? { usage: null } : {};
    return sentEvent({ ...this.#head, ...usage, ...fields });
  }

  #finish(response: LLMResponse): string {
    const choice = {
      index: 0,
      delta: {},
      // Of tokens that no text came with, such as the end.
      logprobs: logprobsOf(response.logprobs?.slice(this.#toldTokens)),
      finish_reason: FINISH_REASONS[response.finishReason],
    };
    const body = { choices: [choice], timings: timingsOf(response) };
    const end = this.#chunk(withWarnings(response, body));
    const usage = this.#includeUsage ? this.#chunk({ choices: [], usage: usageOf(response) }) : "";
    return `${end}${usage}${sentEvent("[DONE]")}`;
  }
}

function idOf(responseId: string): string {
  return `chatcmpl-${responseId}`;
}

function callOf(call: ToolCall): object {
  const { id, name } = call;
  return { id, type: "function", function: { name, arguments: argumentsText(call) } };
}

function logprobsOf(tokens: TokenLogprob[] = []): object | null {
  return tokens.length > 0 ? { content: tokens.map(tokenOf), refusal: null } : null;
}

function tokenOf({ topLogprobs, ...token }: TokenLogprob): object {
  return { ...probabilityOf(token), top_logprobs: topLogprobs.map(probabilityOf) };
}

function probabilityOf({ token, logprob, bytes }: Omit<TokenLogprob, "topLogprobs">): object {
  return { token, logprob, bytes: bytes ?? [...Buffer.from(token)] };
}
