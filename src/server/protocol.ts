import type { LLMRequest, LLMResponse, StreamEvent } from "../index.js";
import type { Failure } from "./failures.js";

/** How a protocol speaks of errors. */
export interface Protocol {
  name: "openai" | "anthropic" | "ollama";
  /** The status that it has for a failure. */
  statusOf?(failure: Failure): number;
  /** The body that tells of a failure. */
  errorBody(failure: Failure, requestId: string): object;
}

/** How one reply is told in the words of a protocol. */
export interface ReplyWriter {
  /** The whole reply. */
  whole(response: LLMResponse): object;
  /** What a stream tells of an event; nothing for an empty text. */
  event(event: StreamEvent): string;
  /** What a stream tells of a failure, once it has begun. */
  failed(failure: Failure): string;
  /** What a stream tells in a long silence. */
  keepAlive(): string;
}

/** A request in the client's words, and how its reply is to be told. */
export interface Exchange {
  request: LLMRequest;
  stream: boolean;
  /** Media type of the stream. */
  mediaType: string;
  writer: ReplyWriter;
  /** What only the protocol knows that was not done exactly as asked. */
  notes?(response: LLMResponse): string[];
}

/** One server-sent event. */
export function sentEvent(data: object | string, name?: string): string {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  return name === undefined ? `data: ${text}\n\n` : `event: ${name}\ndata: ${text}\n\n`;
}

/** A server-sent comment, which readers skip. */
export const COMMENT = ": working\n\n";

/** Media types of streams. */
export const EVENT_STREAM = "text/event-stream; charset=utf-8";
export const JSON_LINES = "application/x-ndjson";

/** What a model wrote as the arguments of a call. */
export function argumentsText(call: { arguments: object; invalidArguments?: string }): string {
  return call.invalidArguments ?? JSON.stringify(call.arguments);
}

/** A body, and what was not done exactly as asked. */
export function withWarnings({ warnings }: LLMResponse, body: object): object {
  return warnings.length > 0 ? { ...body, warnings } : body;
}
