import { ModelNotFoundError, ProtocolError } from "../errors.js";
import { type Fields, fieldsOf, isObject, listOf, parseJson, textOf } from "../fields.js";
import { errorOfBody } from "../http/server-errors.js";
import type { ServerSentEvent } from "../http/server-sent-events.js";
import { shown } from "../http/server-text.js";
import { SERVERS } from "../http/servers.js";
import { detailsOf, type Where } from "../http/where.js";
import { addEvent, type ProviderEvent } from "../providers/provider.js";
import type { CheckedRequest } from "../request.js";
import type { FinishReason, TokenLogprob, Usage } from "../types.js";
import { toTokenLogprob, toUsage, timingsOf } from "./chat-numbers.js";
import { isSameModel } from "./model-name.js";
import type { FilteredText, ServerKind, TextFilter } from "./server-kind.js";
import { ToolCallAssembler } from "./tool-calls.js";

/** What was asked, as far as the reply needs it. */
export interface Asked {
  request: CheckedRequest;
  model: string;
  kind: ServerKind;
  where: Where;
  warnings: string[];
  /** `performance.now()` at the start of the call. */
  startedAt: number;
}

const FINISH_REASONS = new Map<string, FinishReason>([
  ["stop", "stop"],
  ["length", "length"],
  ["tool_calls", "tool_calls"],
  ["function_call", "tool_calls"],
  ["content_filter", "content_filter"],
]);

/** Turns the chunks of a chat completion into events. */
export class ChatReply {
  readonly #asked: Asked;
  readonly #filter: TextFilter | undefined;
  readonly #calls = new ToolCallAssembler();
  readonly #logprobs: TokenLogprob[] = [];
  readonly #warnings: string[] = [];
  #hasStarted = false;
  #isDone = false;
  #isStopped = false;
  #finishReason: FinishReason | undefined;
  #usage: Usage = {};
  #firstContentAt: number | undefined;
  #lastContentAt = 0;
  #hasText = false;
  #hasReasoned = false;
  /** Kept only where the reply must be JSON. */
  #reasoning: string | undefined;

  constructor(asked: Asked) {
    this.#asked = asked;
    this.#filter = asked.kind.filterFor?.(asked.request);
    const { responseFormat = { type: "text" } } = asked.request;
    if (responseFormat.type !== "text") this.#reasoning = "";
  }

  /** True if the reply is complete, though its token counts may still come. */
  get hasEnded(): boolean {
    return this.#isDone || this.#finishReason !== undefined;
  }

  /** True if the server has said that nothing more comes. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** True if nothing more is wanted. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Adds the events of server-sent events to a batch, up to the first that is an error. */
  read(events: readonly ServerSentEvent[], batch: ProviderEvent[]): void {
    for (const { event, data } of events) {
      if (this.#isDone || this.#isStopped) break;
      if (data.trim() === "[DONE]") this.#isDone = true;
      else this.#readChunk(this.#parse(data), batch, event);
    }
  }

  /** The events of a reply that came as one object, though a stream was asked for. */
  readWhole(body: unknown): ProviderEvent[] {
    const batch: ProviderEvent[] = [];
    const whole = fieldsOf(body);
    if (whole.error === undefined && !Array.isArray(whole.choices)) throw this.#isNoChunk(body);
    this.#readChunk(whole, batch);
    this.#isDone = true;
    return batch;
  }

  /** What is left to tell at the end of the stream; throws if the reply had not ended. */
  end(): ProviderEvent[] {
    const batch: ProviderEvent[] = [];
    if (this.#filter && !this.#isStopped) this.#addText(this.#filter.flush(), batch);
    this.#recoverJson(batch);
    for (const toolCall of this.#calls.calls()) {
      if (toolCall.name === "") throw this.#error("protocol", "made a tool call without a name");
      batch.push({ type: "tool-call", toolCall });
    }
    const finishReason = this.#endReason();
    this.#checkObedience();
    batch.push({
      type: "finish",
      finishReason,
      usage: this.#usage,
      timings: timingsOf({
        startedAt: this.#asked.startedAt,
        firstContentAt: this.#firstContentAt,
        lastContentAt: this.#lastContentAt,
        tokens: this.#usage.completionTokens,
      }),
      logprobs: this.#logprobs.length > 0 ? this.#logprobs : undefined,
      ...(this.#warnings.length > 0 && { warnings: this.#warnings }),
    });
    return batch;
  }

  #parse(data: string): Fields {
    const chunk = parseJson(data);
    if (!isObject(chunk)) throw this.#isNoChunk(data);
    return chunk;
  }

  #readChunk(chunk: Fields, batch: ProviderEvent[], event?: string): void {
    if (event === "error" || (chunk.error !== undefined && chunk.error !== null)) {
      throw errorOfBody(chunk.error ?? chunk.message ?? chunk, this.#asked.where);
    }
    if (!this.#hasStarted) this.#start(chunk, batch);
    if (isObject(chunk.usage)) this.#usage = toUsage(chunk.usage);
    const choice: unknown = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
    if (isObject(choice)) this.#readChoice(choice, batch);
  }

  #readChoice(choice: Fields, batch: ProviderEvent[]): void {
    this.#readDelta(fieldsOf(choice.delta ?? choice.message), batch);
    if (isObject(choice.logprobs)) {
      for (const entry of listOf(choice.logprobs.content)) {
        this.#logprobs.push(toTokenLogprob(entry));
      }
    }
    const reason = textOf(choice.finish_reason);
    if (reason !== undefined) this.#finishReason = FINISH_REASONS.get(reason) ?? "other";
  }

  #start({ model }: Fields, batch: ProviderEvent[]): void {
    const { model: asked, warnings, where } = this.#asked;
    const served = textOf(model) ?? asked;
    if (!isSameModel(asked, served)) {
      throw new ModelNotFoundError(
        `${SERVERS[where.provider].name} has no model "${asked}": "${shown(served)}" answered instead.`,
        {
          ...detailsOf(where),
          code: "model_mismatch",
          hint: `Load "${asked}", or ask for "${shown(served)}".`,
        },
      );
    }
    batch.push({ type: "start", model: served, warnings });
    this.#hasStarted = true;
  }

  #readDelta(delta: Fields, batch: ProviderEvent[]): void {
    const reasoning = textOf(delta.reasoning_content) ?? textOf(delta.reasoning);
    if (reasoning !== undefined) this.#addReasoning(reasoning, batch);
    const text = textOf(delta.content);
    if (text !== undefined) this.#addText(this.#filter?.push(text) ?? { text }, batch);
    for (const fragment of listOf(delta.tool_calls)) {
      this.#mark();
      this.#calls.add(fragment);
    }
  }

  #addReasoning(text: string, batch: ProviderEvent[]): void {
    this.#mark();
    this.#hasReasoned = true;
    if (this.#reasoning !== undefined) this.#reasoning += text;
    addEvent(batch, { type: "reasoning", text });
  }

  #addText({ text, reasoning = "", stopped = false }: FilteredText, batch: ProviderEvent[]): void {
    if (reasoning !== "") this.#addReasoning(reasoning, batch);
    if (text !== "") {
      this.#mark();
      this.#hasText = true;
      addEvent(batch, { type: "text", text });
    }
    if (!stopped) return;
    this.#isStopped = true;
    this.#finishReason = "stop";
  }

  #mark(): void {
    this.#lastContentAt = performance.now();
    this.#firstContentAt ??= this.#lastContentAt;
  }

  /** LM Studio files the JSON of some models under reasoning. */
  #recoverJson(batch: ProviderEvent[]): void {
    if (this.#hasText || !this.#reasoning || !isObject(parseJson(this.#reasoning))) return;
    this.#addText({ text: this.#reasoning }, batch);
    this.#warnings.push("the reply came as reasoning, but it is the JSON that was asked for");
  }

  #endReason(): FinishReason {
    const reason = this.#finishReason;
    if (this.#firstContentAt === undefined && !this.#mayBeEmpty()) {
      throw this.#error("empty_response", "gave no reply at all");
    }
    if (reason === undefined && !this.#isDone) {
      throw this.#error("stream_truncated", "ended its reply early");
    }
    if (!this.#calls.isEmpty && reason !== "length") return "tool_calls";
    if (reason === undefined) this.#warnings.push("the server did not tell why the reply ended");
    return reason ?? "other";
  }

  /** A reply may be cut, withheld, or nothing but its end token; one without any token is none. */
  #mayBeEmpty(): boolean {
    if (this.#isStopped || this.#finishReason === "content_filter") return true;
    return this.#finishReason !== undefined && (this.#usage.completionTokens ?? 0) > 0;
  }

  /** Not every model, nor every engine of a server, does all that it is told. */
  #checkObedience(): void {
    const { reasoning, toolChoice, tools = [] } = this.#asked.request;
    const mustCall = tools.length > 0 && (toolChoice === "required" || isObject(toolChoice));
    if (mustCall && this.#calls.isEmpty) {
      this.#warnings.push("the reply has no tool call, though toolChoice demands one");
    }
    if (reasoning === false && this.#hasReasoned) {
      this.#warnings.push("the model reasoned, though reasoning was turned off");
    }
  }

  #isNoChunk(data: unknown): ProtocolError {
    const text = typeof data === "string" ? data : (JSON.stringify(data) ?? "nothing");
    const line = shown(text, this.#asked.where.secret);
    return this.#error("protocol", `sent something that is no part of a reply: ${line}`);
  }

  #error(code: string, what: string): ProtocolError {
    const { model, where } = this.#asked;
    return new ProtocolError(`${SERVERS[where.provider].name} ${what} (model "${model}").`, {
      ...detailsOf(where),
      code,
    });
  }
}
