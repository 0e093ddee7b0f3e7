import { ProtocolError } from "../errors.js";
import {
  type Fields,
  fieldsOf,
  isObject,
  isTooDeep,
  listOf,
  parseJson,
  textOf,
} from "../fields.js";
import { errorOfBody } from "../http/server-errors.js";
import { shown } from "../http/server-text.js";
import { detailsOf, type Where } from "../http/where.js";
import { addText, type ProviderEvent } from "../providers/provider.js";
import { TokenLogprobs } from "../token-logprobs.js";
import type { FinishReason, ToolCall } from "../types.js";
import { timingsOf, toTokenLogprob, toUsage } from "./chat-numbers.js";
import { servedModel } from "./model-name.js";

const TRUNCATED =
  "Ollama does this when its model repeats itself for long, for which repetitionPenalty may help, " +
  "and when the model stops working: its log says more.";

/** What was asked, as far as the reply needs it. */
export interface Asked {
  model: string;
  where: Where;
  warnings: string[];
  /** `performance.now()` at the start of the call. */
  startedAt: number;
}

/** Turns the lines of an `/api/chat` stream into events. */
export class ChatReply {
  readonly #asked: Asked;
  readonly #logprobs = new TokenLogprobs();
  #hasStarted = false;
  #hasCalls = false;
  #firstContentAt: number | undefined;
  #end: Fields | undefined;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  /** True once the line came that ends a reply. */
  get isDone(): boolean {
    return this.#end !== undefined;
  }

  /** Adds the events of lines that came together to a batch, but for the finish. */
  read(lines: unknown[], batch: ProviderEvent[] = []): ProviderEvent[] {
    for (const line of lines) this.#readLine(fieldsOf(line), batch);
    this.#logprobs.tell(batch);
    return batch;
  }

  /** The finish event, after the last line; throws if the reply was none, or not a whole one. */
  finish(): ProviderEvent {
    const end = this.#end;
    if (!end) throw this.#error("stream_truncated", "ended before its end", TRUNCATED);
    const usage = toUsage(end);
    // A reply may be nothing but an end token; one without any token is none.
    if (this.#firstContentAt === undefined && !usage.completionTokens) {
      throw this.#error("empty_response", "is empty");
    }
    return {
      type: "finish",
      finishReason: this.#finishReason(end.done_reason),
      usage,
      timings: timingsOf(end, this.#firstContentAt, this.#asked.startedAt),
      logprobs: this.#logprobs.all,
    };
  }

  #readLine(line: Fields, batch: ProviderEvent[]): void {
    if (this.isDone) return;
    if (line.error) throw errorOfBody(line.error, this.#asked.where);
    const isEnd = line.done === true;
    if (line.message === undefined && !isEnd) throw this.#misfit(line);
    if (!this.#hasStarted) this.#start(line, batch);
    this.#readMessage(fieldsOf(line.message), batch);
    for (const entry of listOf(line.logprobs)) this.#logprobs.push(toTokenLogprob(entry));
    if (isEnd) this.#end = line;
  }

  #start(line: Fields, batch: ProviderEvent[]): void {
    const { model: asked, where, warnings } = this.#asked;
    batch.push({ type: "start", model: servedModel(line, asked, where), warnings });
    this.#hasStarted = true;
  }

  #readMessage({ content, thinking, tool_calls }: Fields, batch: ProviderEvent[]): void {
    const reasoning = textOf(thinking);
    const text = textOf(content);
    const calls = listOf(tool_calls);
    if (reasoning === undefined && text === undefined && calls.length === 0) return;
    this.#firstContentAt ??= performance.now();
    if (reasoning !== undefined) addText(batch, "reasoning", reasoning);
    if (text !== undefined) addText(batch, "text", text);
    this.#readCalls(calls, batch);
  }

  #readCalls(calls: Fields[], batch: ProviderEvent[]): void {
    for (const call of calls) {
      const { name, arguments: given } = fieldsOf(call.function);
      if (typeof name !== "string") throw this.#misfit(call);
      if (isTooDeep(given)) throw this.#error("protocol", "has a call that is nested too deeply");
      const id = textOf(call.id) ?? `call_${crypto.randomUUID()}`;
      batch.push({ type: "tool-call", toolCall: { id, name, ...toArguments(given) } });
      this.#hasCalls = true;
    }
  }

  #finishReason(reason: unknown): FinishReason {
    if (reason === "length") return "length";
    if (this.#hasCalls) return "tool_calls";
    return reason === "stop" ? "stop" : "other";
  }

  #misfit(line: Fields): ProtocolError {
    const text = shown(JSON.stringify(line), this.#asked.where.secret);
    return this.#error("protocol", `has something unknown in it: ${text}`);
  }

  #error(code: string, problem: string, hint?: string): ProtocolError {
    const { model, where } = this.#asked;
    const message = `The reply of Ollama's model "${model}" ${problem}.`;
    return new ProtocolError(message, { ...detailsOf(where), code, hint });
  }
}

/** Ollama's templates and parsers leave objects, but other servers with its API may not. */
function toArguments(given: unknown): Pick<ToolCall, "arguments" | "invalidArguments"> {
  const parsed = typeof given === "string" ? parseJson(given) : given;
  if (isObject(parsed)) return { arguments: parsed };
  const invalidArguments = typeof given === "string" ? given : JSON.stringify(given ?? null);
  return { arguments: {}, invalidArguments };
}
