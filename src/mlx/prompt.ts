import { setImmediate } from "node:timers/promises";
import { ContextLengthError, ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { Message, Tool } from "../types.js";
import { type ChatInput, renderPlain } from "./chat-template.js";
import type { LoadedModel, ModelTexts } from "./model.js";
import type { NativeImage } from "./native-types.js";
import { isHarmony } from "./reply/harmony.js";
import { PLAIN_TEXT, replyFormat, type ReplyFormat } from "./reply/reply-format.js";
import { joinText } from "./template-messages.js";
import { reasoningVariables } from "./template-variables.js";
import { dialectOf } from "./tools/dialects.js";
import { checkSight, imagesIn, placeImages } from "./vision/image-tokens.js";

/** Where neither the model nor the request limits a reply. */
const UNLIMITED = 2 ** 31 - 1;
/** Characters that are encoded at a time while it is open whether a text fits at all. */
const PIECE_LENGTH = 4096;

/** What the model is to read. */
export interface Prompt {
  tokens: Uint32Array;
  /** In the place of some of the tokens. */
  images?: NativeImage[];
  /** Numbers of tokens behind which a later prompt of this chat may part from this one. */
  boundaries: number[];
  /** Most tokens that the reply may have. */
  maxTokens: number;
  /** How the reply will be written. */
  format: ReplyFormat;
  warnings: string[];
}

/** What a prompt is made from, and what it is known by then. */
export interface PromptText extends Pick<Prompt, "format" | "warnings"> {
  text: string;
  addSpecialTokens: boolean;
  /** What the chat template was given. */
  chat?: ChatInput;
}

/** Turns the messages of a request into tokens, and checks that they fit into the context. */
export async function buildPrompt(
  model: LoadedModel,
  request: CheckedRequest,
  signal: AbortSignal,
): Promise<Prompt> {
  const written = promptText(model, request);
  const tokens = await encodeText(model, written, signal);
  const boundaries = boundariesOf(tokens, model, request, written.chat);
  const limits = limited(model, request, written, tokens.length);
  const placed = imagesIn(request.messages);
  if (placed.length === 0) return { tokens, boundaries, ...limits };
  model.prepareToSee();
  // Most prompts have none.
  const { readImages } = await import("./vision/prompt-images.js");
  const images = await readImages(model, tokens, placed, signal);
  return { tokens, images, boundaries, ...limits };
}

/** Encodes a text that fits into the context. */
export async function encodeText(
  model: ModelTexts,
  { text, addSpecialTokens }: Pick<PromptText, "text" | "addSpecialTokens">,
  signal: AbortSignal,
): Promise<Uint32Array> {
  await checkLength(text, model, signal);
  const tokens = Uint32Array.from(model.tokenizer.encode(text, { addSpecialTokens }));
  if (tokens.length === 0) throw new ValidationError("The prompt has no tokens.");
  roomAfter(tokens.length, model);
  return tokens;
}

/** How long a reply may be behind so many tokens, and how it will be written. */
export function limited(
  model: LoadedModel,
  { maxTokens: wanted }: CheckedRequest,
  { format, warnings }: PromptText,
  count: number,
): Pick<Prompt, "maxTokens" | "format" | "warnings"> {
  const room = roomAfter(count, model);
  if (wanted === undefined || wanted <= room)
    return { format, maxTokens: wanted ?? room, warnings };
  const cut = `maxTokens is ${wanted}, but the context has room for ${room} after the prompt`;
  return { format, maxTokens: room, warnings: [...warnings, cut] };
}

/**
 * Where the reply's turn begins. The next prompt of a chat is the same up to there, even if its
 * template writes the reply in another way than it came, and models that cannot take up a text at
 * any place must note this one.
 */
function boundariesOf(
  tokens: Uint32Array,
  model: LoadedModel,
  { providerOptions }: CheckedRequest,
  chat: ChatInput | undefined,
): number[] {
  const { template, native, tokenizer } = model;
  const { promptCache = true } = providerOptions?.mlx ?? {};
  if (native.canTrim || !promptCache || !template || !chat) return [];
  let text: string;
  try {
    text = render(model, { ...chat, addGenerationPrompt: false });
  } catch {
    // Some templates know no other end.
    return [];
  }
  const turn = tokenizer.encode(text, { addSpecialTokens: false });
  const parts = turn.findIndex((token, index) => token !== tokens[index]);
  const boundary = parts < 0 ? turn.length : parts;
  return boundary > 0 && boundary < tokens.length ? [boundary] : [];
}

/** What a model is to read, as text. */
export function promptText(model: ModelTexts, request: CheckedRequest): PromptText {
  const { messages, providerOptions } = request;
  if (providerOptions?.mlx?.raw) {
    const text = onlyText(messages);
    refuseTools(request, "a prompt that is used as it is has no place for them");
    const warnings = withoutTemplate(request, "the prompt is used as it is");
    return { text, addSpecialTokens: true, format: PLAIN_TEXT, warnings };
  }
  if (model.template) return chatText(model, request);
  refuseTools(request, "the model has no chat template to tell them to it");
  const text = messages.length === 1 ? joinText(messages[0]!.content) : renderPlain(messages);
  const warnings = [
    "the model has no chat template, so the prompt went to it as plain text",
    ...withoutTemplate(request, "the model has no chat template"),
  ];
  return { text, addSpecialTokens: true, format: PLAIN_TEXT, warnings };
}

/** Warns of what only a chat template can tell the model. */
function withoutTemplate({ reasoning }: CheckedRequest, reason: string): string[] {
  return reasoning === undefined ? [] : [`reasoning was left out: ${reason}`];
}

function chatText(model: ModelTexts, request: CheckedRequest): PromptText {
  const { template, tokenizer } = model;
  const { messages, providerOptions, reasoningBudget } = request;
  const tools = offeredTools(request);
  const source = template!.text(tools.length > 0);
  if (!/\btools\b/.test(source)) refuseTools(request, "the model's chat template knows no tools");
  else if (!dialectOf(source) && !isHarmony(source)) {
    refuseTools(request, "how the model writes calls is not known");
  }
  const { variables, warnings } = reasoningVariables(source, request);
  const chat = {
    messages,
    tools,
    variables: { ...variables, ...providerOptions?.mlx?.templateVariables },
  };
  const text = render(model, chat);
  const format = replyFormat({ template: source, prompt: text, tools, tokenizer });
  if (reasoningBudget !== undefined && format.endOfReasoning === undefined) {
    warnings.push("reasoning.maxTokens was left out: the model does not mark its reasoning");
  }
  // The template itself writes the special tokens.
  return { text, addSpecialTokens: false, chat, format, warnings };
}

/** A conversation as a model's template writes it, with places for its images. */
function render({ template, files }: ModelTexts, chat: ChatInput): string {
  const { length } = imagesIn(chat.messages);
  if (length > 0) checkSight(files);
  const text = template!.render(chat);
  return length > 0 ? placeImages(text, length, files) : text;
}

/** Tools that must not be called are not offered. */
function offeredTools({ tools = [], toolChoice }: CheckedRequest): Tool[] {
  return toolChoice === "none" ? [] : tools;
}

/** Throws if a request has tools, which for some reason cannot be offered. */
export function refuseTools(request: CheckedRequest, reason: string): void {
  if (offeredTools(request).length === 0) return;
  throw new ValidationError(`The model cannot be given tools: ${reason}.`, {
    code: "unsupported",
    provider: "mlx",
    hint: 'Use a model that is made for tools: "llm-client models" tells which are.',
  });
}

/**
 * Refuses a text that is far too long before it is encoded as a whole, which would keep the process
 * busy for long. Between the pieces other work goes on, and an abort is noticed.
 */
async function checkLength(
  text: string,
  { tokenizer, files: { contextLength = Infinity } }: ModelTexts,
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
function roomAfter(count: number, { files: { contextLength } }: ModelTexts): number {
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

/** The text of a prompt that can have one message only, by the option that says so. */
export function onlyText(messages: Message[], option: "raw" | "promptCacheFile" = "raw"): string {
  const [message, ...others] = messages;
  if (message?.role === "user" && others.length === 0) return joinText(message.content);
  const what = option === "raw" ? "A raw prompt" : "A prompt behind a prompt-cache file";
  throw new ValidationError(`${what} must be one user message, but there are ${messages.length}.`, {
    hint: `Leave out providerOptions.mlx.${option}, or what comes before the last message.`,
  });
}
