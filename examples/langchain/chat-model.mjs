// A chat model for LangChain.js over a client of this package: copy it into your program, and
// `npm install @langchain/core`.
import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import {
  assembleStructuredOutputPipeline,
  createContentParser,
} from "@langchain/core/language_models/structured_output";
import { AIMessage, AIMessageChunk } from "@langchain/core/messages";
import { ChatGenerationChunk } from "@langchain/core/outputs";
import { convertToOpenAITool } from "@langchain/core/utils/function_calling";
import { toJsonSchema } from "@langchain/core/utils/json_schema";

/**
 * Answers with a client: `new ChatMlxLlmClient({ client, model: "demo", temperature: 0 })`. What it is made
 * with, and what it is called with, may hold any option of a request.
 */
export class ChatMlxLlmClient extends BaseChatModel {
  #client;
  #options;

  /** @param {Record<string, any>} fields */
  constructor({ client, callbacks, tags, metadata, ...options }) {
    super({ callbacks, tags, metadata });
    this.#client = client;
    this.#options = options;
  }

  _llmType() {
    return "mlx-llm-client";
  }

  bindTools(tools, options = {}) {
    return this.withConfig({ ...options, tools: tools.map((tool) => convertToOpenAITool(tool)) });
  }

  /** The form is kept to by the model's tokens or checked, so no call of a tool is needed for it. */
  withStructuredOutput(outputSchema, { name, includeRaw } = {}) {
    const { $schema: _, ...schema } = toJsonSchema(outputSchema);
    const responseFormat = { type: "json_schema", schema, ...(name && { name }) };
    const model = this.withConfig({ responseFormat });
    return assembleStructuredOutputPipeline(model, createContentParser(outputSchema), includeRaw);
  }

  async _generate(messages, options) {
    const response = await this.#client.generate(this.#request(messages, options));
    const { content, toolCalls = [] } = response;
    const message = new AIMessage({
      content,
      tool_calls: toolCalls.filter(isValid).map(callOf),
      invalid_tool_calls: toolCalls.filter((call) => !isValid(call)).map(invalidCallOf),
      ...endOf(response),
    });
    return { generations: [{ text: content, message }] };
  }

  async *_streamResponseChunks(messages, options, runManager) {
    const calls = [];
    for await (const event of this.#client.stream(this.#request(messages, options))) {
      const fields = chunkOf(event, calls);
      if (!fields) continue;
      const text = fields.content ?? "";
      const message = new AIMessageChunk({ content: "", ...fields });
      const chunk = new ChatGenerationChunk({ text, message });
      await runManager?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, {
        chunk,
      });
      yield chunk;
    }
  }

  #request(messages, { tools, tool_choice, responseFormat, stop, signal }) {
    const fields = { tools, toolChoice: choiceOf(tool_choice), responseFormat, stop, signal };
    const given = Object.entries(fields).filter(([, value]) => value !== undefined);
    return { ...this.#options, ...Object.fromEntries(given), messages: messages.map(messageOf) };
  }
}

const ROLES = { human: "user", ai: "assistant", system: "system", tool: "tool" };

function messageOf(message) {
  const role = ROLES[message.getType()];
  if (!role) throw new Error(`Messages of type ${message.getType()} are not supported.`);
  const content = contentOf(message.content);
  if (role === "tool") return { role, content, toolCallId: message.tool_call_id };
  if (role !== "assistant") return { role, content };
  const valid = message.tool_calls?.map(({ id, name, args }) => ({ id, name, arguments: args }));
  const invalid = message.invalid_tool_calls?.map(({ id, name, args }) => {
    return { id, name, arguments: {}, invalidArguments: args };
  });
  const reasoning = message.additional_kwargs.reasoning_content;
  return { role, content, toolCalls: [...(valid ?? []), ...(invalid ?? [])], reasoning };
}

function contentOf(content) {
  return typeof content === "string" ? content : content.map(partOf);
}

function partOf(part) {
  if (part.type === "text") return { type: "text", text: part.text };
  if (part.type === "image_url")
    return { type: "image", image: part.image_url.url ?? part.image_url };
  if (part.type === "image" && part.url) return { type: "image", image: part.url };
  if (part.type === "image") {
    return { type: "image", image: `data:${part.mimeType};base64,${part.data}` };
  }
  throw new Error(`Content of type ${part.type} is not supported.`);
}

function choiceOf(choice) {
  if (choice === "any") return "required";
  const isName = typeof choice === "string" && !["auto", "none", "required"].includes(choice);
  return isName ? { type: "function", function: { name: choice } } : choice;
}

/** An event as the fields of a chunk; of a call whose arguments came in pieces all is told already. */
function chunkOf(event, calls) {
  if (event.type === "text") return { content: event.text };
  if (event.type === "reasoning") return { additional_kwargs: { reasoning_content: event.text } };
  if (event.type === "tool-call-delta") return callChunk(event, event.argumentsDelta, calls);
  if (event.type === "finish") return endOf({ ...event.response, reasoning: undefined });
  if (event.type !== "tool-call" || calls.includes(event.toolCall.id)) return undefined;
  const { invalidArguments, arguments: given } = event.toolCall;
  return callChunk(event.toolCall, invalidArguments ?? JSON.stringify(given), calls);
}

function callChunk({ id, name }, args, calls) {
  const isFirst = !calls.includes(id);
  if (isFirst) calls.push(id);
  const chunk = { type: "tool_call_chunk", index: calls.indexOf(id), args };
  return { tool_call_chunks: [isFirst ? { ...chunk, id, name } : chunk] };
}

const isValid = ({ invalidArguments }) => invalidArguments === undefined;

function callOf({ id, name, arguments: args }) {
  return { type: "tool_call", id, name, args };
}

function invalidCallOf({ id, name, invalidArguments: args }) {
  return { type: "invalid_tool_call", id, name, args, error: "The arguments are no JSON object." };
}

function endOf({
  reasoning,
  usage,
  finishReason,
  model,
  provider,
  attempts,
  warnings,
  responseId,
}) {
  const { promptTokens = 0, completionTokens = 0, cachedTokens, reasoningTokens } = usage;
  return {
    id: responseId,
    additional_kwargs: reasoning ? { reasoning_content: reasoning } : {},
    usage_metadata: {
      input_tokens: promptTokens,
      output_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
      ...(cachedTokens !== undefined && { input_token_details: { cache_read: cachedTokens } }),
      ...(reasoningTokens !== undefined && {
        output_token_details: { reasoning: reasoningTokens },
      }),
    },
    response_metadata: { finish_reason: finishReason, model, provider, attempts, warnings },
  };
}
