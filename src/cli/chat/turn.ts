import type { LLMResponse, Message } from "../../index.js";
import { foreignFlags } from "../flags.js";
import type { Io } from "../io.js";
import type { Progress } from "../progress.js";
import { type ContentFlow, ReplyPrinter } from "../reply-printer.js";
import type { AskedModel } from "./asked-model.js";

/** What a turn works with. */
export interface TurnOptions {
  model: AskedModel;
  io: Io;
  progress: Progress;
  hideReasoning: boolean;
  /** Where the content goes. */
  content: ContentFlow;
}

/** One reply of the model. */
export class Turn {
  readonly #options: TurnOptions;
  readonly #interrupt = new AbortController();
  /** What was said so far. */
  #content = "";

  constructor(options: TurnOptions) {
    this.#options = options;
  }

  /** Ends the reply; what came of it stays. */
  interrupt(): void {
    this.#interrupt.abort();
  }

  /** Asks and prints; an interrupted reply has no response. */
  async run(messages: Message[]): Promise<{ messages: Message[]; response?: LLMResponse }> {
    const { io, progress, content, hideReasoning } = this.#options;
    const printer = new ReplyPrinter(io, { hideReasoning }, content);
    progress.begin();
    await progress.wait();
    try {
      const response = await this.#ask(messages, printer);
      const { content, reasoning, toolCalls } = response;
      return {
        messages: [{ role: "assistant", content, ...definedOf({ reasoning, toolCalls }) }],
        response,
      };
    } catch (error) {
      if (!this.#interrupt.signal.aborted || io.signal.aborted) throw error;
      const content = this.#content;
      return { messages: content.trim() === "" ? [] : [{ role: "assistant", content }] };
    } finally {
      await progress.stopWaiting();
      await printer.end();
    }
  }

  async #ask(messages: Message[], printer: ReplyPrinter): Promise<LLMResponse> {
    const { model, io, progress } = this.#options;
    const signal = AbortSignal.any([io.signal, this.#interrupt.signal]);
    const { requestId } = progress;
    const events = model.client.stream({ ...model.request, messages, requestId, signal });
    for await (const event of events) {
      if (event.type === "start") {
        const { provider, warnings } = event;
        await progress.answered(provider, [...foreignFlags(provider, model.request), ...warnings]);
      } else {
        if (event.type === "text") this.#content += event.text;
        await printer.print(event);
      }
    }
    return events.response;
  }
}

function definedOf<T extends object>(value: T): Partial<T> {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}
