import { GenerationError } from "../errors.js";
import type { StreamEvent, TokenLogprob } from "../types.js";
import { Detokenizer } from "./detokenizer.js";
import { EventQueue } from "./event-queue.js";
import { tokenLogprob } from "./logprobs.js";
import type { LoadedModel } from "./model.js";
import type {
  NativeSampling,
  NativeSession,
  NativeStats,
  NativeTokenBatch,
} from "./native-types.js";
import { StopMatcher } from "../stop.js";

/** What to generate from a loaded model. */
export interface GenerationJob {
  tokens: Uint32Array;
  sampling: NativeSampling;
  /** Texts that end the reply. */
  stops: string[];
  signal: AbortSignal;
}

/** So many tokens may wait for their reader before the engine pauses the reply. */
const MOST_WAITING_TOKENS = 512;

/** A piece of the reply. */
export type TextEvent = Extract<StreamEvent, { type: "text" }>;

/** How a generation ended and what it took. */
export interface GenerationOutcome {
  finishReason: "stop" | "length";
  /** Tokens generated, the one that ended the reply included. */
  completionTokens: number;
  logprobs: TokenLogprob[];
  stats: NativeStats;
  /** `performance.now()` when the first tokens came. */
  firstTokenAt?: number;
}

/**
 * Generates text piece by piece and returns how it went. Leaving the loop or aborting ends the
 * work; an abort throws the signal's reason.
 */
export async function* generateText(
  model: LoadedModel,
  job: GenerationJob,
): AsyncGenerator<TextEvent, GenerationOutcome> {
  const { tokens, sampling, stops, signal } = job;
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
  let firstTokenAt: number | undefined;
  const settings = turn ? { ...sampling, digest: turn.digest } : sampling;
  let waitingTokens = 0;
  const running = session.generate(tokens, settings, (batch) => {
    firstTokenAt ??= performance.now();
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
    const reply = new ReplyText(model, stops, sampling.logprobs === true);
    for (let batches = await queue.take(); batches; batches = await queue.take()) {
      if (waitingTokens >= MOST_WAITING_TOKENS) session.resume();
      waitingTokens = 0;
      const text = batches.map((batch) => reply.add(batch)).join("");
      if (reply.stopped) session.cancel();
      if (text !== "") yield { type: "text", text };
      if (reply.stopped) break;
    }
    const rest = reply.stopped ? "" : reply.flush();
    if (rest !== "") yield { type: "text", text: rest };
    const stats = await running;
    signal.throwIfAborted();
    return { ...outcomeOf(reply, stats), firstTokenAt };
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

/** The text of a reply as its tokens come in. */
class ReplyText {
  readonly logprobs: TokenLogprob[] = [];
  /** True once a stop text has come. */
  stopped = false;
  tokenCount = 0;
  readonly #model: LoadedModel;
  readonly #withLogprobs: boolean;
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopMatcher;

  constructor(model: LoadedModel, stops: string[], withLogprobs: boolean) {
    this.#model = model;
    this.#withLogprobs = withLogprobs;
    this.#detokenizer = new Detokenizer(model.tokenizer);
    this.#stops = new StopMatcher(stops);
  }

  /** Text that is certain after the tokens of a batch. */
  add(batch: NativeTokenBatch): string {
    let text = "";
    for (let index = 0; index < batch.tokens.length && !this.stopped; index++) {
      this.tokenCount += 1;
      if (this.#withLogprobs) {
        this.logprobs.push(tokenLogprob(batch, index, this.#model.tokenizer));
      }
      text += this.#push(this.#detokenizer.add([batch.tokens[index]!]));
    }
    return text;
  }

  /** Text that was held back until the end. */
  flush(): string {
    const text = this.#push(this.#detokenizer.flush());
    if (this.stopped) return text;
    return text + this.#stops.flush();
  }

  #push(text: string): string {
    const result = this.#stops.push(text);
    this.stopped ||= result.stopped;
    return result.text;
  }
}

function outcomeOf(reply: ReplyText, stats: NativeStats): GenerationOutcome {
  const { logprobs } = reply;
  if (reply.stopped) {
    // The engine may have been a few tokens ahead when it was told to stop.
    return { logprobs, finishReason: "stop", completionTokens: reply.tokenCount, stats };
  }
  const { finishReason, completionTokens } = stats;
  if (finishReason === "cancelled") {
    throw new GenerationError("The generation was ended from outside.", { code: "cancelled" });
  }
  return { logprobs, finishReason, completionTokens, stats };
}
