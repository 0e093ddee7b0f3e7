import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { Message, MlxOptions } from "../types.js";
import type { ChatTemplate } from "./chat-template.js";
import type { LoadedModel } from "./model.js";
import {
  encodeText,
  limited,
  onlyText,
  type Prompt,
  type PromptText,
  promptText,
  refuseTools,
} from "./prompt.js";
import { joinText } from "./template-messages.js";

/** A text whose last message goes on behind its end. */
export interface OpenPrompt {
  messages: Message[];
  options?: MlxOptions;
}

/** Stands in a text for the place where a message ends or begins. */
const MARK = "<end-of-content>";

/** The tokens of such a text, as mlx_lm.cache_prompt makes them. */
export async function encodeOpenPrompt(
  model: LoadedModel,
  { messages, options: { raw, templateVariables } = {} }: OpenPrompt,
  signal: AbortSignal,
): Promise<Uint32Array> {
  const { template } = model;
  for (const { content } of messages) joinText(content); // refuses images
  const isPlain = raw || !template;
  const text = isPlain ? onlyText(messages) : renderOpen(template, messages, templateVariables);
  return encodeText(model, { text, addSpecialTokens: isPlain }, signal);
}

/** Up to the end of the last message's content. */
function renderOpen(
  template: ChatTemplate,
  messages: Message[],
  variables: Record<string, unknown> | undefined,
): string {
  const last = messages.at(-1)!;
  const marked = { ...last, content: `${joinText(last.content)}${MARK} ` };
  const text = template.render({
    messages: [...messages.slice(0, -1), marked],
    addGenerationPrompt: false,
    variables,
  });
  const end = text.lastIndexOf(MARK);
  if (end < 0) throw unusual();
  const open = text.slice(0, end);
  // Some templates trim what a message says.
  return text.startsWith(`${MARK} `, end) ? open : open.trimEnd();
}

/**
 * The prompt of a request that goes on behind a text of so many tokens. As mlx_lm.generate does, it
 * begins with the content of the one message; what the template writes before it is in that text.
 */
export async function buildContinuation(
  model: LoadedModel,
  request: CheckedRequest,
  before: number,
  signal: AbortSignal,
): Promise<Prompt> {
  onlyText(request.messages, "promptCacheFile");
  refuseTools(request, "they belong before the text of the prompt-cache file");
  const written = promptText(model, request);
  const text = behind(model, written);
  const tokens = await encodeText(model, { text, addSpecialTokens: false }, signal);
  return { tokens, boundaries: [], ...limited(model, request, written, before + tokens.length) };
}

function behind({ template }: LoadedModel, { text, chat }: PromptText): string {
  if (!template || !chat) return text;
  const marked = template.render({ ...chat, messages: [{ role: "user", content: MARK }] });
  const begin = marked.indexOf(MARK);
  if (begin < 0) throw unusual();
  return text.slice(begin);
}

function unusual(): ValidationError {
  return new ValidationError("The model's chat template does not write what a message says.", {
    code: "bad_template",
  });
}
