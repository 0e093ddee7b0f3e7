import { setImmediate } from "node:timers/promises";
import { ContextLengthError, ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { Message } from "../types.js";
import { joinText, renderPlain } from "./chat-template.js";
import type { LoadedModel } from "./model.js";

/** Where neither the model nor the request limits a reply. */
const UNLIMITED = 2 ** 31 - 1;
/** Characters that are encoded at a time while it is open whether a text fits at all. */
const PIECE_LENGTH = 4096;

/** What the model is to read. */
export interface Prompt {
  tokens: Uint32Array;
  /** Numbers of tokens behind which a later prompt of this chat may part from this one. */
  boundaries: number[];
  /** Most tokens that the reply may have. */
  maxTokens: number;
  warnings: string[];
}

/** Turns the messages of a request into tokens, and checks that they fit into the context. */
export async function buildPrompt(
  model: LoadedModel,
  request: CheckedRequest,
  signal: AbortSignal,
): Promise<Prompt> {
  const { text, addSpecialTokens, warnings } = promptText(model, request);
  await checkLength(text, model, signal);
  const tokens = Uint32Array.from(model.tokenizer.encode(text, { addSpecialTokens }));
  const room = roomAfter(tokens.length, model);
  const boundaries = boundariesOf(tokens, model, request);
  const { maxTokens = room } = request;
  if (maxTokens <= room) return { tokens, boundaries, maxTokens, warnings };
  const cut = `maxTokens is ${maxTokens}, but the context has room for ${room} after the prompt`;
  return { tokens, boundaries, maxTokens: room, warnings: [...warnings, cut] };
}

/**
 * Where the reply's turn begins. The next prompt of a chat is the same up to there, even if its
 * template writes the reply in another way than it came, and models that cannot take up a text at
 * any place must note this one.
 */
function boundariesOf(
  tokens: Uint32Array,
  { template, native, tokenizer }: LoadedModel,
  { messages, providerOptions }: CheckedRequest,
): number[] {
  const { raw, promptCache = true, templateVariables: variables } = providerOptions?.mlx ?? {};
  if (native.canTrim || raw || !promptCache || !template) return [];
  let text: string;
  try {
    text = template.render({ messages, addGenerationPrompt: false, variables });
  } catch {
    // Some templates know no other end.
    return [];
  }
  const turn = tokenizer.encode(text, { addSpecialTokens: false });
  const parts = turn.findIndex((token, index) => token !== tokens[index]);
  const boundary = parts < 0 ? turn.length : parts;
  return boundary > 0 && boundary < tokens.length ? [boundary] : [];
}

function promptText(
  { template }: LoadedModel,
  { messages, providerOptions }: CheckedRequest,
): { text: string; addSpecialTokens: boolean; warnings: string[] } {
  const { raw = false, templateVariables: variables } = providerOptions?.mlx ?? {};
  if (raw) return { text: onlyText(messages), addSpecialTokens: true, warnings: [] };
  if (template) {
    const text = template.render({ messages, addGenerationPrompt: true, variables });
    // The template itself writes the special tokens.
    return { text, addSpecialTokens: false, warnings: [] };
  }
  const text = messages.length === 1 ? joinText(messages[0]!.content) : renderPlain(messages);
  const warning = "the model has no chat template, so the prompt went to it as plain text";
  return { text, addSpecialTokens: true, warnings: [warning] };
}

/**
 * Refuses a text that is far too long before it is encoded as a whole, which would keep the process
 * busy for long. Between the pieces other work goes on, and an abort is noticed.
 */
async function checkLength(
  text: string,
  { tokenizer, files: { contextLength = Infinity } }: LoadedModel,
  signal: AbortSignal,
): Promise<void> {
  // Each character is at most three tokens.
  if (text.length <= Math.max(PIECE_LENGTH, contextLength / 2)) return;
  let count = 0;
  for (let begin = 0; begin < text.length; begin += PIECE_LENGTH) {
    await setImmediate();
    signal.throwIfAborted();
    const piece = text.slice(begin, begin + PIECE_LENGTH);
    count += tokenizer.encode(piece, { addSpecialTokens: false }).length;
    // Cutting adds tokens at the seams, but does not double their number.
    if (count > 2 * contextLength) throw tooLong(`at least ${contextLength + 1}`, contextLength);
  }
}

/** Tokens that fit after a prompt. */
function roomAfter(count: number, { files: { contextLength } }: LoadedModel): number {
  if (count === 0) throw new ValidationError("The prompt has no tokens.");
  if (contextLength === undefined) return UNLIMITED;
  if (count >= contextLength) throw tooLong(String(count), contextLength);
  return contextLength - count;
}

function tooLong(count: string, contextLength: number): ContextLengthError {
  return new ContextLengthError(
    `The prompt has ${count} tokens, but the context of the model holds ${contextLength}, the reply included.`,
    { hint: "Shorten the prompt, or use a model with a longer context." },
  );
}

function onlyText(messages: Message[]): string {
  const [message, ...others] = messages;
  if (message?.role === "user" && others.length === 0) return joinText(message.content);
  throw new ValidationError(
    `A raw prompt must be one user message, but there are ${messages.length}.`,
    { hint: "Leave out providerOptions.mlx.raw, and any system message with it." },
  );
}
