import { Command } from "commander";
import type { LLMRequest } from "../index.js";
import { readGrammar, readSchema } from "./attachments.js";
import type { Chat } from "./chat/chat.js";
import type { Messages } from "./chat/messages.js";
import { UsageError } from "./exit-codes.js";
import {
  addChatFlags,
  addCommonFlags,
  addFolderFlag,
  chooseMlx,
  type CommonFlags,
  type CommonOptions,
  commonOptions,
  type GenerationFlags,
  mlxFlags,
  requestOptions,
} from "./flags.js";
import type { Io } from "./io.js";

/** What `llm-client chat` was asked to do. */
export interface ChatOptions extends CommonOptions {
  system?: string;
  /** Files. */
  images: string[];
  /** A file, or JSON. */
  schema?: string;
  /** A file. */
  grammar?: string;
  /** A file that names MCP servers. */
  mcpConfig?: string;
  yesTools: boolean;
  request: Omit<LLMRequest, "messages">;
  usage: boolean;
  hideReasoning: boolean;
  markdown: boolean;
}

interface Flags extends CommonFlags, GenerationFlags {
  mcpConfig?: string;
  yesTools?: boolean;
  usage?: boolean;
  hideReasoning?: boolean;
  markdown: boolean;
}

const EXAMPLES = `
Examples:
  $ llm-client chat -m mlx-community/Qwen3-4B-4bit
  $ llm-client chat -m ollama:qwen3:4b --system "Answer in one sentence."
  $ llm-client chat -m mlx-community/Qwen3-4B-4bit --mcp-config mcp.json
  $ printf 'What is 7 + 5?\\nAnd 8 + 5?\\n' | llm-client chat -m demo

On a terminal, /help tells what can be done besides asking. In a pipe each line is a message,
and only the answers go to stdout.`;

/** The flags and help of `llm-client chat`. */
export function chatCommand(run: (options: ChatOptions) => Promise<void>): Command {
  const command = new Command("chat").description("talk with a model");
  return addFolderFlag(addChatFlags(addCommonFlags(command)))
    .option("--mcp-config <file>", "let the model call the tools of the MCP servers in this file")
    .option("--yes-tools", "with --mcp-config: make its calls without asking")
    .option("--usage", "tell on stderr how many tokens each answer took; a terminal is always told")
    .option("--hide-reasoning", "do not print on stderr what the model thinks")
    .option("--no-markdown", "print the answers of a model as they are, on a terminal, too")
    .addHelpText("after", EXAMPLES)
    .action((flags: Flags) => {
      const {
        usage = false,
        hideReasoning = false,
        markdown,
        mcpConfig,
        yesTools = false,
        provider,
        baseUrl,
        ...others
      } = flags;
      if (yesTools && mcpConfig === undefined) {
        command.error("error: --yes-tools says nothing without --mcp-config");
      }
      const { model, config, timeout, json, verbose, promptCacheFolder, ...generation } = others;
      const where = { provider, baseUrl, model, promptCacheFolder };
      const request = requestOptions(generation);
      const given = commonOptions({ ...where, config, timeout, json, verbose }, command);
      const common = chooseMlx(given, mlxFlags(request), command);
      const { system, schema, grammar, image: images = [] } = generation;
      const output = { usage, hideReasoning, markdown };
      const tools = { mcpConfig, yesTools };
      return run({ ...common, system, images, schema, grammar, request, ...tools, ...output });
    });
}

/** Talks until there are no more messages, or the person leaves. */
export async function runChat(given: ChatOptions, io: Io): Promise<void> {
  checkTools(given, io);
  const { Chat } = await import("./chat/chat.js");
  const options = { ...given, request: { ...given.request, ...(await formOf(given)) } };
  const chat = new Chat(options, io);
  try {
    await chat.open();
    await answerAll(chat, io);
  } finally {
    await chat.close();
  }
}

/** A model must not decide alone what is run, unless somebody wants that. */
function checkTools({ mcpConfig, yesTools }: ChatOptions, { terminal }: Io): void {
  if (mcpConfig === undefined || yesTools || terminal) return;
  throw new UsageError(
    "--mcp-config needs --yes-tools here: nobody can be asked before each call.",
    "Add --yes-tools if the model may make every call, or chat on a terminal.",
  );
}

async function answerAll(chat: Chat, io: Io): Promise<void> {
  const messages = await openMessages(chat, io);
  io.signal.addEventListener("abort", () => messages.close());
  try {
    await chat.answerAll(messages);
  } finally {
    messages.close();
  }
}

async function formOf({ schema, grammar }: ChatOptions): Promise<Partial<LLMRequest>> {
  if (schema !== undefined) {
    return { responseFormat: { type: "json_schema", schema: await readSchema(schema) } };
  }
  if (grammar === undefined) return {};
  return { responseFormat: { type: "grammar", grammar: await readGrammar(grammar) } };
}

async function openMessages(chat: Chat, { terminal, stdin }: Io): Promise<Messages> {
  if (!terminal) {
    const { PipedMessages } = await import("./chat/messages.js");
    return new PipedMessages(stdin.lines());
  }
  const { LineEditor } = await import("./chat/line-editor.js");
  const { History, historyFile } = await import("./chat/history.js");
  const { complete } = await import("./chat/commands.js");
  const history = new History(historyFile(process.env));
  const note = (text: string) => void chat.note(text);
  await history.load().catch((error: Error) => {
    note(`The history cannot be read: ${error.message}`);
  });
  return new LineEditor({
    terminal,
    history,
    complete,
    note,
    onInterrupt: () => chat.interrupt(),
  });
}
