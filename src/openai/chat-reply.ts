import { type LLMError, ProtocolError } from "../errors.js";
import { type Fields, fieldsOf, isObject, listOf, parseJson, textOf } from "../fields.js";
import { errorOfBody } from "../http/server-errors.js";
import type { ServerSentEvent } from "../http/server-sent-events.js";
import { saysError, shown } from "../http/server-text.js";
import { SERVERS } from "../http/servers.js";
import { detailsOf, type Where } from "../http/where.js";
import { addText, type ProviderEvent } from "../providers/provider.js";
import type { CheckedRequest } from "../request.js";
import { TokenLogprobs } from "../token-logprobs.js";
import type { FinishReason, Usage } from "../types.js";
import { toTokenLogprob, toUsage, timingsOf } from "./chat-numbers.js";
import { deltaOf } from "./content-parts.js";
import { isSameModel, otherModel } from "./model-name.js";
import { disobedience } from "./disobedience.js";
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

const REFUSED = "the model refused to answer";

/** Turns the chunks of a chat completion into events. */
export class ChatReply {
  readonly #asked: Asked;
  readonly #filter: TextFilter | undefined;
  readonly #calls = new ToolCallAssembler();
  readonly #logprobs = new TokenLogprobs();
  readonly #warnings: string[] = [];
  #hasStarted = false;
  #isDone = false;
  #isStopped = false;
  /** True if something of what was just read can only be delivered later. */
  #isHolding = false;
  #finishReason: FinishReason | undefined;
  #usage: Usage = {};
  /** When what is being read arrived. */
  #now = 0;
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
    this.#now = performance.now();
    this.#isHolding = false;
    for (const { event, data } of events) {
      if (this.#isDone || this.#isStopped) break;
      if (data.trim() === "[DONE]") this.#isDone = true;
      else if (event === "error") throw this.#failure(parseJson(data) ?? data);
      else this.#readChunk(this.#parse(data), batch);
    }
    this.#logprobs.tell(batch);
    const tells = batch.some(({ type }) => type !== "start");
    if (this.#isHolding && !tells) batch.push({ type: "progress" });
  }

  /** The events of a reply that came as one object, though a stream was asked for. */
  readWhole(body: unknown): ProviderEvent[] {
    const batch: ProviderEvent[] = [];
    const whole = fieldsOf(body);
    this.#now = performance.now();
    if (!saysError(whole) && !Array.isArray(whole.choices)) throw this.#isNoChunk(body);
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
    const seen = { hasCalled: !this.#calls.isEmpty, hasReasoned: this.#hasReasoned };
    this.#warnings.push(...disobedience(this.#asked.request, seen));
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
      logprobs: this.#logprobs.all,
      ...(this.#warnings.length > 0 && { warnings: this.#warnings }),
    });
    return batch;
  }

  #parse(data: string): Fields {
    const chunk = parseJson(data);
    if (!isObject(chunk)) throw this.#isNoChunk(data);
    return chunk;
  }

  #readChunk(chunk: Fields, batch: ProviderEvent[]): void {
    if (saysError(chunk)) throw this.#failure(chunk);
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
    // A gateway has sent its good status when what is behind it fails.
    if (choice.error) throw this.#failure(choice);
    if (reason === "error") throw this.#failure('its finish reason is "error"');
    if (reason !== undefined) this.#finishReason = FINISH_REASONS.get(reason) ?? "other";
  }

  #start(chunk: Fields, batch: ProviderEvent[]): void {
    const { model: asked, kind, where } = this.#asked;
    const served = textOf(chunk.model) ?? asked;
    const warnings = [...this.#asked.warnings];
    if (!isSameModel(asked, served)) {
      if (kind.namesItsModel?.(chunk) ?? true) throw otherModel(asked, served, where);
      warnings.push(`"${shown(served, where.secret)}" answered for "${asked}"`);
    }
    batch.push({ type: "start", model: served, warnings });
    this.#hasStarted = true;
  }

  #readDelta(delta: Fields, batch: ProviderEvent[]): void {
    const reasoning = textOf(delta.reasoning_content) ?? textOf(delta.reasoning);
    if (reasoning !== undefined) this.#addReasoning(reasoning, batch);
    const text = textOf(delta.content);
    if (text !== undefined) this.#readText(text, batch);
    else if (Array.isArray(delta.content)) {
      for (const part of listOf(delta.content)) this.#readDelta(deltaOf(part), batch);
    }
    const refusal = textOf(delta.refusal);
    if (refusal !== undefined) this.#addRefusal(refusal, batch);
    for (const fragment of listOf(delta.tool_calls)) {
      this.#mark();
      const delta = this.#calls.add(fragment);
      if (delta) batch.push(delta);
      else this.#isHolding = true;
    }
  }

  #readText(text: string, batch: ProviderEvent[]): void {
    const filtered = this.#filter?.push(text) ?? { text };
    this.#isHolding ||= filtered.text === "";
    this.#addText(filtered, batch);
  }

  #addReasoning(text: string, batch: ProviderEvent[]): void {
    this.#mark();
    this.#hasReasoned = true;
    if (this.#reasoning !== undefined) this.#reasoning += text;
    addText(batch, "reasoning", text);
  }

  /** OpenAI keeps it apart, but it is all that the reader gets. */
  #addRefusal(text: string, batch: ProviderEvent[]): void {
    this.#addText({ text }, batch);
    if (!this.#warnings.includes(REFUSED)) this.#warnings.push(REFUSED);
  }

  #addText({ text, reasoning = "", stopped = false }: FilteredText, batch: ProviderEvent[]): void {
    if (reasoning !== "") this.#addReasoning(reasoning, batch);
    if (text !== "") {
      this.#mark();
      this.#hasText = true;
      addText(batch, "text", text);
    }
    if (!stopped) return;
    this.#isStopped = true;
    this.#finishReason = "stop";
  }

  #mark(): void {
    this.#lastContentAt = this.#now;
    this.#firstContentAt ??= this.#now;
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
    const isCut = reason === "length" || reason === "content_filter";
    if (!this.#calls.isEmpty && !isCut) return "tool_calls";
    if (reason === "tool_calls") {
      this.#warnings.push("the server told of tool calls, but sent none");
      return "other";
    }
    if (reason === undefined) this.#warnings.push("the server did not tell why the reply ended");
    return reason ?? "other";
  }

  /** A reply may be cut, withheld, or nothing but its end token; one without any token is none. */
  #mayBeEmpty(): boolean {
    if (this.#isStopped || this.#finishReason === "content_filter") return true;
    return this.#finishReason !== undefined && (this.#usage.completionTokens ?? 0) > 0;
  }

  #failure(said: unknown): LLMError {
    return errorOfBody(fieldsOf(said).error || said, this.#asked.where);
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
