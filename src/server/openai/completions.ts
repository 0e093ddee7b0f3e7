import type { LLMRequest, LLMResponse, StreamEvent, TokenLogprob } from "../../index.js";
import type { Failure } from "../failures.js";
import { COMMENT, type ReplyWriter, sentEvent, withWarnings } from "../protocol.js";
import { given } from "../schemas.js";
import { completionOptions } from "./completion-fields.js";
import type { CompletionsBody } from "./completions-schema.js";
import { errorBody } from "./errors.js";
import { FINISH_REASONS, usageOf } from "./usage.js";

/** A request to continue a text in the client's words: without a chat template, where that can be. */
export function completionsRequest(body: CompletionsBody): LLMRequest {
  const { prompt, logprobs } = body;
  return {
    messages: [prompt].flat()[0]!,
    providerOptions: { mlx: { raw: true } },
    ...completionOptions(body),
    ...given({
      logprobs: logprobs === undefined || logprobs === null ? undefined : true,
      topLogprobs: logprobs || undefined,
    }),
  };
}

/** Only MLX can leave the chat template out. */
export function templateNote({ provider }: LLMResponse): string[] {
  if (provider === "mlx") return [];
  return [`the prompt was sent as a message of a chat: ${provider} takes no other`];
}

/** Tells a reply as a continued text. */
export class CompletionsReply implements ReplyWriter {
  readonly #created = Math.floor(Date.now() / 1000);
  readonly #includeUsage: boolean;
  #id = "";
  #model = "";
  /** Tokens whose probabilities were sent, and where in the text the next one begins. */
  #toldTokens = 0;
  #offset = 0;

  constructor(includeUsage: boolean) {
    this.#includeUsage = includeUsage;
  }

  whole(response: LLMResponse): object {
    this.#begin(response);
    const body = this.#body(response.content, response);
    return withWarnings(response, { ...body, usage: usageOf(response) });
  }

  event(event: StreamEvent): string {
    if (event.type === "start") this.#begin(event);
    if (event.type === "text") {
      this.#toldTokens += event.logprobs?.length ?? 0;
      return sentEvent(this.#body(event.text, event));
    }
    if (event.type !== "finish") return "";
    const { response } = event;
    const logprobs = response.logprobs?.slice(this.#toldTokens);
    const end = sentEvent(withWarnings(response, this.#body("", { ...response, logprobs })));
    const usage = { ...this.#body(""), choices: [], usage: usageOf(response) };
    return `${end}${this.#includeUsage ? sentEvent(usage) : ""}${sentEvent("[DONE]")}`;
  }

  failed(failure: Failure): string {
    return sentEvent(errorBody(failure));
  }

  keepAlive(): string {
    return COMMENT;
  }

  #begin({ responseId, model }: Pick<LLMResponse, "responseId" | "model">): void {
    this.#id = `cmpl-${responseId}`;
    this.#model = model;
  }

  #body(text: string, told: Partial<Pick<LLMResponse, "finishReason" | "logprobs">> = {}): object {
    const finish_reason = told.finishReason ? FINISH_REASONS[told.finishReason] : null;
    const logprobs = told.logprobs?.length ? this.#logprobsOf(told.logprobs) : null;
    const head = { id: this.#id, object: "text_completion", created: this.#created };
    return { ...head, model: this.#model, choices: [{ index: 0, text, logprobs, finish_reason }] };
  }

  #logprobsOf(tokens: TokenLogprob[]): object {
    const offsets = tokens.map(({ token }) => {
      this.#offset += token.length;
      return this.#offset - token.length;
    });
    return {
      tokens: tokens.map(({ token }) => token),
      token_logprobs: tokens.map(({ logprob }) => logprob),
      top_logprobs: tokens.map(({ topLogprobs }) =>
        Object.fromEntries(topLogprobs.map(({ token, logprob }) => [token, logprob])),
      ),
      text_offset: offsets,
    };
  }
}
