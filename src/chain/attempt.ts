import { abortedBy, abortTogether } from "../abort.js";
import { type LLMError, ProtocolError, StreamInterruptedError, typedError } from "../errors.js";
import { type FormCheck, formCheck } from "../reply-form.js";
import { checkCapabilities, type ProviderEvent } from "../providers/provider.js";
import type { Attempt as AttemptRecord, LLMResponse, StreamEvent } from "../types.js";
import { breakerOf, type Leg, nameLeg } from "./leg.js";
import type { Call, Reply, Route } from "./route.js";
import { Silence } from "./silence.js";

/** Sends a request to the provider of a leg, once. */
export class Attempt implements Route {
  readonly #leg: Leg;

  constructor(leg: Leg) {
    this.#leg = leg;
  }

  async open(call: Call): Promise<Reply> {
    const reply = new AttemptedReply(this.#leg, call);
    await reply.begin();
    return reply;
  }
}

/** What the events of a reply add up to. */
type Collected = Pick<LLMResponse, "content" | "reasoning" | "toolCalls">;

/**
 * The reply to one attempt. Collects it, watches its silences, and records how far it came: in the
 * response, or in the error, which also has the text that came before it.
 */
class AttemptedReply implements Reply {
  readonly #leg: Leg;
  readonly #call: Call;
  /** Ends this attempt alone: what stopped it must not stop the next one. */
  readonly #work = new AbortController();
  readonly #silence: Silence;
  readonly #startedAt = performance.now();
  readonly #record: Omit<AttemptRecord, "durationMs">;
  readonly #collected: Collected = { content: "" };
  #checkForm: FormCheck | undefined;
  #events: AsyncIterator<readonly ProviderEvent[]> | undefined;
  #held: StreamEvent[] | undefined;
  #warnings: string[] = [];
  #contentCame = false;
  #hasBegun = false;
  #isOver = false;
  #release = () => {};
  #leaveBreaker = (_error?: LLMError) => {};

  constructor(leg: Leg, call: Call) {
    const { request } = call;
    const { provider, settings } = leg;
    this.#leg = leg;
    this.#call = call;
    this.#record = { ...nameLeg(leg, request.model), phase: provider.firstPhase };
    const { timeout, firstTokenTimeout } = settings;
    const firstToken = request.timeoutOverride ?? firstTokenTimeout;
    const idle = request.timeoutOverride ?? timeout;
    const mayPause = provider.mayPause?.(request) ?? false;
    const limits = { firstToken, idle: mayPause ? Math.max(idle, firstToken) : idle };
    this.#silence = new Silence(limits, this.#work);
  }

  /** Waits for the first content, or for all of it where only the whole reply is wanted. */
  async begin(): Promise<void> {
    const { wantsWhole } = this.#call;
    await this.#enter();
    let isEnough = false;
    while (!isEnough) {
      const events = await this.#read();
      this.#held = wantsWhole ? events : [...(this.#held ?? []), ...events];
      isEnough = this.#isOver || (this.#contentCame && !wantsWhole);
    }
    this.#hasBegun = true;
  }

  next(): Promise<readonly StreamEvent[] | undefined> {
    const held = this.#held;
    this.#held = undefined;
    return held || this.#isOver ? Promise.resolve(held) : this.#read();
  }

  /** Sends the request as soon as there is a place for it. */
  async #enter(): Promise<void> {
    const { request, signal } = this.#call;
    const unlink = abortTogether(this.#work, signal);
    this.#release = unlink;
    try {
      const { provider } = this.#leg;
      const leftOut = checkCapabilities(request, provider);
      this.#warnings = [...this.#call.warnings, ...leftOut];
      this.#leaveBreaker = breakerOf(this.#leg, request.model).enter();
      // Not before the breaker: it must be entered before anything is waited for.
      const { responseFormat } = request;
      if (responseFormat && !provider.keepsForm) this.#checkForm = await formCheck(responseFormat);
      const free = await this.#leg.slots.take(signal);
      this.#release = () => {
        unlink();
        free();
      };
      // The abort may have come together with the place.
      signal.throwIfAborted();
      this.#events = this.#send();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #send(): AsyncIterator<readonly ProviderEvent[]> {
    const { request, requestId, responseId, startedAt } = this.#call;
    const context = {
      signal: this.#work.signal,
      requestId,
      responseId,
      startedAt,
      onProgress: (progress: Partial<AttemptRecord>) => Object.assign(this.#record, progress),
    };
    return this.#leg.provider.stream(request, context)[Symbol.asyncIterator]();
  }

  /** The next events that are worth telling; there may be none. */
  #read(): Promise<StreamEvent[]> {
    this.#silence.start();
    // No async function: it would cost twice as much, and a reply comes token by token.
    return this.#events!.next().then(this.#got, this.#failed);
  }

  #got = ({ value: batch, done }: IteratorResult<readonly ProviderEvent[]>): StreamEvent[] => {
    if (done) return this.#failed(endedEarly());
    const events: StreamEvent[] = [];
    let isAlive = false;
    for (const event of batch) {
      isAlive ||= event.type !== "start";
      if (event.type !== "progress") events.push(this.#take(event));
      // Nothing that comes after the end is part of the reply.
      if (this.#isOver) break;
    }
    this.#silence.stop(isAlive);
    return events;
  };

  #failed = (error: unknown): never => {
    throw this.#fail(error);
  };

  /** Lets the provider free what it holds; nothing that comes of it matters any more. */
  async #closeSource(): Promise<void> {
    try {
      await this.#events?.return?.();
    } catch {
      // The reply, or its failure, is already known.
    }
  }

  #take(event: Exclude<ProviderEvent, { type: "progress" }>): StreamEvent {
    if (event.type === "start") return this.#start(event);
    if (event.type === "finish") return this.#finish(event);
    if (!this.#contentCame) {
      this.#contentCame = true;
      this.#record.phase = "stream";
    }
    const reply = this.#collected;
    if (event.type === "text") reply.content += event.text;
    else if (event.type === "reasoning") reply.reasoning = (reply.reasoning ?? "") + event.text;
    else if (event.type === "tool-call") {
      reply.toolCalls = [...(reply.toolCalls ?? []), event.toolCall];
    }
    return event;
  }

  #start(event: ProviderEvent & { type: "start" }): StreamEvent {
    const { model, warnings } = event;
    this.#record.model = model;
    this.#record.phase = "prompt";
    this.#warnings.push(...warnings);
    const { requestId, responseId } = this.#call;
    const provider = this.#leg.provider.name;
    return { ...event, provider, requestId, responseId, warnings: [...this.#warnings] };
  }

  #finish(event: ProviderEvent & { type: "finish" }): StreamEvent {
    const { type: _type, warnings = [], ...end } = event;
    // A reply that was cut, or that calls tools, is not what was to have the form.
    const problem =
      end.finishReason === "stop" ? this.#checkForm?.(this.#collected.content) : undefined;
    if (problem) throw this.#fail(problem);
    this.#record.phase = "done";
    this.#end(undefined);
    const { attempts, startedAt, requestId, responseId } = this.#call;
    const { name: provider } = this.#leg.provider;
    const isFallback = attempts.some(({ leg }) => leg !== this.#leg.index);
    const own = {
      content: this.#collected.content,
      provider,
      requestId,
      responseId,
      model: this.#record.model!,
      latencyMs: performance.now() - startedAt,
      attempts: [...attempts],
      retryCount: countRetries(attempts),
      usedFallback: isFallback,
      warnings: [...this.#warnings, ...warnings],
    };
    // Spreading so much into one object would take as long as reading fifty tokens.
    const response: LLMResponse = Object.assign(own, this.#collected, end);
    if (isFallback) response.fallbackProvider = provider;
    this.#call.onEnd({ response });
    return { type: "finish", response };
  }

  #fail(cause: unknown): LLMError {
    const { content } = this.#collected;
    const reason = this.#work.signal.aborted ? abortedBy(this.#work.signal) : typedError(cause);
    const error = this.#contentCame ? interrupted(reason) : reason;
    this.#end(error);
    const { provider } = this.#leg;
    const failure = error.with({
      provider: provider.name,
      model: this.#record.model,
      url: error.url ?? provider.url,
      requestId: this.#call.requestId,
      partial: content === "" ? undefined : content,
      attempts: [...this.#call.attempts],
    });
    if (this.#hasBegun) this.#call.onEnd({ error: failure });
    return failure;
  }

  /** Frees everything and writes the record. */
  #end(error: LLMError | undefined): void {
    this.#isOver = true;
    this.#silence.close();
    this.#release();
    this.#leaveBreaker(error);
    void this.#closeSource();
    const { code, status = this.#record.status } = error ?? {};
    const durationMs = performance.now() - this.#startedAt;
    const told = [code && { code }, status && { status }, { durationMs }];
    const attempt: AttemptRecord = Object.assign({}, this.#record, ...told);
    this.#call.attempts.push(attempt);
    this.#call.observer.attempt({ requestId: this.#call.requestId, attempt });
  }
}

function endedEarly(): ProtocolError {
  return new ProtocolError("The reply ended without a finish.", { code: "stream_truncated" });
}

/** How often a request was sent again to a leg that it had been sent to. */
function countRetries(attempts: AttemptRecord[]): number {
  const sent = attempts.filter(({ skippedBecause }) => skippedBecause === undefined);
  return sent.length - new Set(sent.map(({ leg }) => leg)).size;
}

/** A failure after the first content; the caller's own end and limits of time stay what they are. */
function interrupted(reason: LLMError): LLMError {
  if (["AbortError", "TimeoutError", "StreamInterruptedError"].includes(reason.name)) return reason;
  if (reason.code === "schema_mismatch") return reason;
  const { status, url, hint } = reason;
  return new StreamInterruptedError(`The reply broke off: ${reason.message}`, {
    status,
    url,
    hint,
    cause: reason,
  });
}
