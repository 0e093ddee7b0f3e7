import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
} from "@ai-sdk/provider";
import { AbortError, type LLMClient, type StreamEvent } from "../index.js";
import { callError } from "./errors.js";
import { contentOf, endOf, identityOf, ReplyParts, warningsOf } from "./reply.js";
import { requestOf } from "./request.js";

/** A model of the client as the AI SDK's version 3 of language models. */
export class LanguageModel implements LanguageModelV3 {
  readonly specificationVersion = "v3";
  /** None: the AI SDK downloads files itself, as not every provider does. */
  readonly supportedUrls = {};
  readonly provider: string;
  readonly modelId: string;
  readonly #client: () => LLMClient;

  constructor(provider: string, modelId: string, client: () => LLMClient) {
    this.provider = provider;
    this.modelId = modelId;
    this.#client = client;
  }

  async doGenerate(options: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
    try {
      const { request, warnings } = requestOf(options, this.modelId);
      const response = await this.#client().generate(request);
      return {
        content: contentOf(response),
        ...endOf(response),
        response: identityOf(response),
        warnings: [...warnings, ...warningsOf(response.warnings)],
      };
    } catch (error) {
      throw callError(error);
    }
  }

  async doStream(options: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> {
    try {
      const { request, warnings } = requestOf(options, this.modelId);
      const events = this.#client().stream(request)[Symbol.asyncIterator]();
      // Comes with the first content: what fails until then fails the call.
      const start = await events.next();
      const parts = new ReplyParts(warnings, options.includeRawChunks);
      return { stream: streamOf(parts, start.value as StreamEvent, events) };
    } catch (error) {
      throw callError(error);
    }
  }
}

function streamOf(parts: ReplyParts, start: StreamEvent, events: AsyncIterator<StreamEvent>) {
  type Controller = ReadableStreamDefaultController<LanguageModelV3StreamPart>;
  const put = (controller: Controller, more: LanguageModelV3StreamPart[]) => {
    for (const part of more) controller.enqueue(part);
  };
  return new ReadableStream<LanguageModelV3StreamPart>(
    {
      start: (controller) => put(controller, parts.of(start)),
      async pull(controller) {
        try {
          const { value, done } = await events.next();
          if (done) controller.close();
          else put(controller, parts.of(value));
        } catch (error) {
          // The AI SDK tells an abort by the stream's own failure.
          if (AbortError.is(error)) throw error;
          put(controller, parts.failed(callError(error)));
          controller.close();
        }
      },
      cancel: async () => void (await events.return?.()),
    },
    { highWaterMark: 0 },
  );
}
