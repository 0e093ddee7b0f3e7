import { GenerationError } from "../errors.js";
import { TokenLogprobs } from "../token-logprobs.js";
import type { TokenLogprob } from "../types.js";
import { Detokenizer } from "./detokenizer.js";
import { EventQueue } from "./event-queue.js";
import { tokenLogprob } from "./logprobs.js";
import type { LoadedModel } from "./model.js";
import type {
  NativeGrammar,
  NativeSampling,
  NativeSession,
  NativeStats,
  NativeTokenBatch,
} from "./native-types.js";
import { PLAIN_TEXT, type ReplyFormat } from "./reply/reply-format.js";
import { type ReplyEvent, ReplyReader } from "./reply/reply-reader.js";

/** What to generate from a loaded model. */
export interface GenerationJob {
  tokens: Uint32Array;
  sampling: NativeSampling;
  /** Texts that end the reply. */
  stops: string[];
  /** How the reply is written; plain text unless told. */
  format?: ReplyFormat;
  /** Tokens after which reasoning is brought to its end. */
  reasoningBudget?: number;
  /** The grammar of what then comes. */
  grammarOfRest?: NativeGrammar;
  signal: AbortSignal;
}

/** So many tokens may wait for their reader before the engine pauses the reply. */
const MOST_WAITING_TOKENS = 512;

/** How a generation ended and what it took. */
export interface GenerationOutcome {
  finishReason: "stop" | "length" | "tool_calls";
  /** The stop text that ended it. */
  stopSequence?: string | undefined;
  /** Tokens generated, the one that ended the reply included. */
  completionTokens: number;
  /** Those of them that were reasoning, where the model marks it. */
  reasoningTokens?: number;
  logprobs?: TokenLogprob[];
  stats: NativeStats;
  /** `performance.now()` when the first tokens came. */
  firstTokenAt?: number;
}

/**
 * Generates a reply piece by piece and returns how it went. Leaving the loop or aborting ends the
 * work; an abort throws the signal's reason.
 */
export async function* generateText(
  model: LoadedModel,
  job: GenerationJob,
): AsyncGenerator<ReplyEvent[], GenerationOutcome> {
  const reply = new Reply(model, job);
  let stats = yield* generatePass(model, job, reply);
  if (reply.isOverBudget) {
    const { events, next, tokenCount } = reply.endReasoning();
    if (events.length > 0) yield events;
    const rest = next && (yield* generatePass(model, next, reply));
    stats = together(stats, rest, tokenCount);
  }
  const events = reply.end();
  if (events.length > 0) yield events;
  return reply.outcome(stats);
}

/** One session of the engine; a reply has several where its reasoning is cut. */
async function* generatePass(
  model: LoadedModel,
  job: GenerationJob,
  reply: Reply,
): AsyncGenerator<ReplyEvent[], NativeStats> {
  const { tokens, sampling, signal } = job;
  signal.throwIfAborted();
  const session = model.native.session();
  const turn = model.shared ? await awaitTurn(job, session) : undefined;
  const queue = new EventQueue<NativeTokenBatch>();
  // At once, and not when the reader comes back: the reader may be busy elsewhere.
  const abort = () => {
    session.close();
    queue.fail(signal.reason);
  };
  signal.addEventListener("abort", abort);
  const settings = turn ? { ...sampling, digest: turn.digest } : sampling;
  let waitingTokens = 0;
  const running = session.generate(tokens, settings, (batch) => {
    reply.firstTokenAt ??= performance.now();
    queue.push(batch);
    waitingTokens += batch.tokens.length;
    if (waitingTokens >= MOST_WAITING_TOKENS) session.pause();
  });
  running
    .then(
      () => queue.end(),
      (error: unknown) => queue.fail(error),
    )
    // Nobody may come back to read: the session must not wait for that.
    .finally(() => {
      session.close();
      turn?.end();
    });
  try {
    for (let batches = await queue.take(); batches; batches = await queue.take()) {
      if (waitingTokens >= MOST_WAITING_TOKENS) session.resume();
      waitingTokens = 0;
      const events = reply.add(batches);
      if (reply.isEnough) session.cancel();
      if (events.length > 0) yield events;
      if (reply.isEnough) break;
    }
    const stats = await running;
    signal.throwIfAborted();
    return stats;
  } finally {
    signal.removeEventListener("abort", abort);
    session.close();
  }
}

/** A generation that processes do together comes in its turn, and they compare what they were asked. */
async function awaitTurn(
  { tokens, sampling, stops, signal }: GenerationJob,
  session: NativeSession,
): Promise<{ end: () => void; digest: number }> {
  // Who shares no models need not load it.
  const { digestOf, takeTurn } = await import("./distributed.js");
  // Each process has memory of its own, and the first one's chunks count.
  const own = { prefillStepSize: undefined, cacheBytes: undefined, memoryLimit: undefined };
  const digest = digestOf([...tokens], { ...sampling, ...own }, stops);
  try {
    return { end: await takeTurn(signal), digest };
  } catch (error) {
    session.close();
    throw error;
  }
}

/** A reply as its tokens come in. */
class Reply {
  firstTokenAt: number | undefined;
  readonly #model: LoadedModel;
  readonly #job: GenerationJob;
  readonly #detokenizer: Detokenizer;
  readonly #reader: ReplyReader;
  readonly #logprobs = new TokenLogprobs();
  /** Kept only where they may have to be read again. */
  readonly #tokens: number[] = [];
  #tokenCount = 0;
  #reasoningCount = 0;
  #budget: number;

  constructor(model: LoadedModel, job: GenerationJob) {
    const { format = PLAIN_TEXT, reasoningBudget = Infinity } = job;
    this.#model = model;
    this.#job = job;
    // A grammar speaks of the bytes themselves.
    const exact = job.sampling.grammar !== undefined;
    this.#detokenizer = new Detokenizer(model.tokenizer, {
      shown: shownTokens(model, format),
      exact,
    });
    this.#reader = new ReplyReader(format, job.stops);
    this.#budget = format.endOfReasoning === undefined ? Infinity : reasoningBudget;
  }

  /** True once nothing more of what is being generated is wanted. */
  get isEnough(): boolean {
    return this.#reader.hasStopped || this.isOverBudget;
  }

  /** True where the reasoning has taken all its tokens, and goes on. */
  get isOverBudget(): boolean {
    return this.#reasoningCount >= this.#budget && this.#reader.isReasoning;
  }

  /** What is certain after the tokens of some batches. */
  add(batches: NativeTokenBatch[]): ReplyEvent[] {
    const events: ReplyEvent[] = [];
    for (const batch of batches) {
      for (let index = 0; index < batch.tokens.length && !this.isEnough; index++) {
        if (this.#job.sampling.logprobs) {
          this.#logprobs.push(tokenLogprob(batch, index, this.#model.tokenizer));
        }
        this.#addToken(batch.tokens[index]!, events);
      }
    }
    this.#logprobs.tell(events);
    return events;
  }

  /** Writes the end of the reasoning; tells what is to be generated behind it, if there is room. */
  endReasoning(): { events: ReplyEvent[]; next?: GenerationJob; tokenCount: number } {
    const events: ReplyEvent[] = [];
    const { tokens, sampling, format, grammarOfRest: grammar } = this.#job;
    const { tokenizer } = this.#model;
    const { endOfReasoning = "", answer = "" } = format!;
    // A grammar says itself what begins the answer.
    const written = grammar ? endOfReasoning : endOfReasoning + answer;
    const end = tokenizer.encode(written, { addSpecialTokens: false });
    this.#budget = Infinity;
    this.#reader.push(this.#detokenizer.add(end), events);
    this.#tokenCount += end.length;
    const tokenCount = this.#tokenCount;
    const maxTokens = sampling.maxTokens - tokenCount;
    if (maxTokens <= 0) return { events, tokenCount };
    const read = Uint32Array.from([...tokens, ...this.#tokens, ...end]);
    const rest = { ...sampling, maxTokens, grammar };
    const next = { ...this.#job, tokens: read, sampling: rest };
    return { events, next, tokenCount };
  }

  /** What was held back until the end. */
  end(): ReplyEvent[] {
    const events: ReplyEvent[] = [];
    this.#reader.push(this.#detokenizer.flush(), events);
    this.#reader.end(events);
    return events;
  }

  outcome(stats: NativeStats): GenerationOutcome {
    const { hasStopped, stopSequence, hasCalled } = this.#reader;
    if (!hasStopped && stats.finishReason === "cancelled") {
      throw new GenerationError("The generation was ended from outside.", { code: "cancelled" });
    }
    const reason = hasStopped ? "stop" : (stats.finishReason as "stop" | "length");
    const marksReasoning = this.#job.format?.endOfReasoning !== undefined;
    return {
      finishReason: hasCalled && reason === "stop" ? "tool_calls" : reason,
      stopSequence,
      // The engine may have been a few tokens ahead when it was told to stop.
      completionTokens: hasStopped ? this.#tokenCount : stats.completionTokens,
      ...(marksReasoning && { reasoningTokens: this.#reasoningCount }),
      logprobs: this.#logprobs.all,
      stats,
      firstTokenAt: this.firstTokenAt,
    };
  }

  #addToken(token: number, events: ReplyEvent[]): void {
    const wasReasoning = this.#reader.isReasoning;
    this.#tokenCount += 1;
    if (this.#budget < Infinity) this.#tokens.push(token);
    this.#reader.push(this.#detokenizer.add([token]), events);
    if (wasReasoning || this.#reader.isReasoning) this.#reasoningCount += 1;
  }
}

/** The tokens that stand for no text, but tell how the reply is to be read. */
function shownTokens({ tokenizer }: LoadedModel, { marks }: ReplyFormat): Set<number> {
  const ids = marks.map((mark) => tokenizer.tokenId(mark));
  return new Set(ids.filter((id) => id !== undefined));
}

/** What two passes took, of which the second went on after so many tokens; there may be none. */
function together(
  before: NativeStats,
  after: NativeStats | undefined,
  tokenCount: number,
): NativeStats {
  if (!after) return { ...before, finishReason: "length", completionTokens: tokenCount };
  return {
    ...before,
    finishReason: after.finishReason,
    completionTokens: tokenCount + after.completionTokens,
    draftTokens: before.draftTokens + after.draftTokens,
    acceptedTokens: before.acceptedTokens + after.acceptedTokens,
    // Reading what was written again is part of writing it.
    decodeMs: before.decodeMs + after.promptMs + after.decodeMs,
    graphMs: before.graphMs + after.graphMs,
  };
}
