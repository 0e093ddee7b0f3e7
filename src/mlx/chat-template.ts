import { ValidationError } from "../errors.js";
import type { Message, Tool } from "../types.js";
import type { Json } from "./json-file.js";
import { habitsOf, joinText, templateMessages, templateTools } from "./template-messages.js";
import { TemplateRefusal } from "./template-globals.js";
import { parseTemplate, reasonOf, renderTemplate } from "./template-runtime.js";
import { badTemplate, findSources, type Source } from "./template-sources.js";
import { namedSpecialTokens, readTokenizerConfig } from "./tokenizer-files.js";

/** What a conversation is rendered from. */
export interface ChatInput {
  messages: Message[];
  tools?: Tool[];
  /** End with the beginning of a reply; true unless told. */
  addGenerationPrompt?: boolean;
  /** More variables for the template, for example `{ enable_thinking: false }`. */
  variables?: Record<string, unknown>;
}

/** Turns a conversation into the prompt that a model was trained on. */
export interface ChatTemplate {
  render(input: ChatInput): string;
  /** The template that a conversation is rendered with, with tools or without. */
  text(hasTools: boolean): string;
}

/**
 * Loads the chat template of a model's folder: chat_template.jinja, else what tokenizer_config.json
 * or chat_template.json has. Undefined where the model has none. `reading` is what
 * `readTokenizerConfig` reads, where that is under way.
 *
 * @example
 * const template = await loadChatTemplate("/models/tiny");
 * const prompt = template?.render({ messages }) ?? renderPlain(messages);
 */
export async function loadChatTemplate(
  folder: string,
  reading: Promise<Json> = readTokenizerConfig(folder),
): Promise<ChatTemplate | undefined> {
  const config = await reading;
  const sources = await findSources(folder, config);
  const fallback = sources.get("default") ?? [...sources.values()][0];
  if (!fallback) return undefined;
  const tokens = namedSpecialTokens(config);
  const render = compile(fallback, tokens);
  const toolUse = sources.get("tool_use");
  const renderWithTools = toolUse ? compile(toolUse, tokens) : render;
  return {
    render: (input) => (input.tools?.length ? renderWithTools(input) : render(input)),
    text: (hasTools) => (hasTools && toolUse ? toolUse : fallback).text,
  };
}

/**
 * Writes a conversation as plain text, for models without a chat template, as mlx-lm does.
 *
 * @example
 * renderPlain([{ role: "user", content: "Hi" }]); // "USER: Hi\nASSISTANT:"
 */
export function renderPlain(messages: Message[]): string {
  const names = {
    system: "ASSISTANT's RULE: ",
    user: "USER: ",
    assistant: "ASSISTANT: ",
    tool: "",
  };
  const turns = messages.map(({ role, content }) => `${names[role]}${joinText(content)}\n`);
  return `${turns.join("")}ASSISTANT:`;
}

function compile(source: Source, tokens: Record<string, string>): (input: ChatInput) => string {
  const program = parse(source);
  const habits = habitsOf(source.text);
  return ({ messages, tools, addGenerationPrompt = true, variables }) => {
    const values = {
      ...tokens,
      documents: null,
      ...variables,
      messages: templateMessages(messages, habits),
      tools: tools?.length ? templateTools(tools) : null,
      add_generation_prompt: addGenerationPrompt,
    };
    try {
      return renderTemplate(program, values);
    } catch (error) {
      throw renderingFailed(source.place, error as Error);
    }
  };
}

function parse({ text, place }: Source): ReturnType<typeof parseTemplate> {
  try {
    return parseTemplate(text);
  } catch (error) {
    const reason = `is no valid Jinja template: ${reasonOf(error as Error)}`;
    throw badTemplate(place, reason, error);
  }
}

function renderingFailed(place: string, error: Error): Error {
  if (error instanceof TemplateRefusal) {
    return new ValidationError(
      `The model's chat template refuses these messages: ${reasonOf(error)}`,
      {
        code: "bad_template",
        hint: `Change the messages; the template is in ${place}.`,
        cause: error,
      },
    );
  }
  return badTemplate(place, `cannot be rendered: ${reasonOf(error)}`, error);
}
