import { ContextLengthError, ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { Message } from "../types.js";
import { joinText, renderPlain } from "./chat-template.js";
import type { LoadedModel } from "./model.js";

/** Where neither the model nor the request limits a reply. */
const UNLIMITED = 2 ** 31 - 1;

/** What the model is to read. */
export interface Prompt {
  tokens: Uint32Array;
  /** Most tokens that the reply may have. */
  maxTokens: number;
  warnings: string[];
}

/** Turns the messages of a request into tokens, and checks that they fit into the context. */
export function buildPrompt(model: LoadedModel, request: CheckedRequest): Prompt {
  const { tokens, warnings } = encodePrompt(model, request);
  return { tokens: Uint32Array.from(tokens), maxTokens: roomFor(tokens, model, request), warnings };
}

function encodePrompt(
  { template, tokenizer }: LoadedModel,
  { messages, providerOptions }: CheckedRequest,
): { tokens: number[]; warnings: string[] } {
  const { raw = false, templateVariables: variables } = providerOptions?.mlx ?? {};
  if (raw) return { tokens: tokenizer.encode(onlyText(messages)), warnings: [] };
  if (template) {
    const text = template.render({ messages, addGenerationPrompt: true, variables });
    // The template itself writes the special tokens.
    return { tokens: tokenizer.encode(text, { addSpecialTokens: false }), warnings: [] };
  }
  const plain = messages.length === 1 ? joinText(messages[0]!.content) : renderPlain(messages);
  const warning = "the model has no chat template, so the prompt went to it as plain text";
  return { tokens: tokenizer.encode(plain), warnings: [warning] };
}

function roomFor(tokens: number[], { files }: LoadedModel, { maxTokens }: CheckedRequest): number {
  if (tokens.length === 0) throw new ValidationError("The prompt has no tokens.");
  const { contextLength } = files;
  if (contextLength === undefined) return maxTokens ?? UNLIMITED;
  if (tokens.length >= contextLength) {
    throw new ContextLengthError(
      `The prompt has ${tokens.length} tokens, but the context of the model holds ${contextLength}, the reply included.`,
      { hint: "Shorten the prompt, or use a model with a longer context." },
    );
  }
  return Math.min(maxTokens ?? UNLIMITED, contextLength - tokens.length);
}

function onlyText(messages: Message[]): string {
  const [message, ...others] = messages;
  if (message?.role === "user" && others.length === 0) return joinText(message.content);
  throw new ValidationError(
    `A raw prompt must be one user message, but there are ${messages.length}.`,
    { hint: "Leave out providerOptions.mlx.raw, and any system message with it." },
  );
}
