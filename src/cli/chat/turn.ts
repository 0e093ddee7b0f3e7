import type { LLMRequest, LLMResponse, Message, Usage } from "../../index.js";
import { foreignFlags } from "../flags.js";
import type { Io } from "../io.js";
import type { Progress } from "../progress.js";
import { type ContentFlow, ReplyPrinter } from "../reply-printer.js";
import type { AskedModel } from "./asked-model.js";
import type { ChatTools } from "./chat-tools.js";

/** What a turn works with. */
export interface TurnOptions {
  model: AskedModel;
  io: Io;
  progress: Progress;
  hideReasoning: boolean;
  /** Where the content goes. */
  content: ContentFlow;
  /** What the model may call. */
  tools?: ChatTools;
}

/** What came of a turn. */
export interface TurnResult {
  /** What is new in the conversation; every call in it has its result. */
  messages: Message[];
  /** The last reply; absent if the person interrupted. */
  response?: LLMResponse;
  /** Of all replies together. */
  usage?: Usage;
  /** Whether the model was not asked any more, though it wanted more calls. */
  isCut?: boolean;
}

/** The model's answer to a question: one reply, or several with calls between them. */
export class Turn {
  readonly #options: TurnOptions;
  readonly #interrupt = new AbortController();
  /** What was asked last. */
  #asked: Message[] = [];
  /** What of the answer to it was said so far. */
  #content = "";

  constructor(options: TurnOptions) {
    this.#options = options;
  }

  /** Ends the reply; what came of it stays. */
  interrupt(): void {
    this.#interrupt.abort();
  }

  /** Asks and prints. */
  async run(messages: Message[]): Promise<TurnResult> {
    const { io, progress, content, hideReasoning, tools } = this.#options;
    const printer = new ReplyPrinter(io, { hideReasoning }, content);
    try {
      if (tools) return await this.#runTools(messages, tools, printer);
      const response = await this.#ask({ messages, signal: this.#signal }, printer);
      const { toolCalls } = response;
      const message = { ...messageOf(response), ...definedOf({ toolCalls }) };
      return { messages: [message], response, usage: response.usage };
    } catch (error) {
      if (!this.#interrupt.signal.aborted || io.signal.aborted) throw error;
      const said = withText([{ role: "assistant", content: this.#content }]);
      return { messages: [...this.#asked.slice(messages.length), ...said] };
    } finally {
      await progress.stopWaiting();
      await printer.end();
    }
  }

  async #runTools(
    messages: Message[],
    { tools, tellFailure }: ChatTools,
    printer: ReplyPrinter,
  ): Promise<TurnResult> {
    const { runTools } = await import("../../index.js");
    const { client } = this.#options.model;
    const run = await runTools(
      {
        generate: (request) => this.#ask(request, printer),
        stream: (request) => client.stream(request),
      },
      { messages, tools, signal: this.#signal, onResult: tellFailure },
    );
    const { response, usage, ended } = run;
    // Calls that were not made must not stay without a result.
    const message = messageOf(response);
    const last = response.toolCalls ? withText([message]) : [message];
    const news = [...run.messages.slice(messages.length, -1), ...last];
    return { messages: news, response, usage, isCut: ended === "max_steps" };
  }

  get #signal(): AbortSignal {
    return AbortSignal.any([this.#options.io.signal, this.#interrupt.signal]);
  }

  async #ask(asked: LLMRequest, printer: ReplyPrinter): Promise<LLMResponse> {
    const { model, progress } = this.#options;
    this.#asked = asked.messages as Message[];
    this.#content = "";
    progress.begin();
    await progress.wait();
    const { requestId } = progress;
    const events = model.client.stream({ ...model.request, ...asked, requestId });
    for await (const event of events) {
      if (event.type === "start") {
        const { provider, warnings } = event;
        await progress.answered(provider, [...foreignFlags(provider, model.request), ...warnings]);
      } else {
        if (event.type === "text") this.#content += event.text;
        await printer.print(event);
      }
    }
    await printer.end();
    const response = await events.response;
    progress.warn(response.warnings);
    return response;
  }
}

function messageOf({ content, reasoning }: LLMResponse): Message & { content: string } {
  return { role: "assistant", content, ...definedOf({ reasoning }) };
}

function withText(messages: (Message & { content: string })[]): Message[] {
  return messages.filter(({ content }) => content.trim() !== "");
}

function definedOf<T extends object>(value: T): Partial<T> {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}
