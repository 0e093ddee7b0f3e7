import { nearestName } from "../../nearest-name.js";
import { UsageError } from "../exit-codes.js";
import { describeUsage } from "../format.js";
import type { Chat } from "./chat.js";
import { completePath } from "./paths.js";

/** Something that is done in a chat instead of asking the model. */
interface ChatCommand {
  name: string;
  /** What comes behind it: nothing, something, or either. */
  argument?: string;
  isOptional?: boolean;
  does: string;
  run(chat: Chat, argument: string): unknown;
}

const COMMANDS: ChatCommand[] = [
  {
    name: "/model",
    argument: "NAME",
    isOptional: true,
    does: "ask another model; alone: tell which is asked",
    run: (chat, name) => (name === "" ? chat.note(chat.model.name) : changeModel(chat, name)),
  },
  {
    name: "/system",
    argument: "TEXT",
    isOptional: true,
    does: 'set the system message; "-" takes it away; alone: show it',
    run: (chat, text) => {
      if (text === "") return chat.note(chat.conversation.system ?? "There is no system message.");
      chat.conversation.system = text === "-" ? undefined : text;
    },
  },
  {
    name: "/image",
    argument: "FILE",
    isOptional: true,
    does: "show a picture with the next message; alone: show none",
    run: showPicture,
  },
  {
    name: "/regenerate",
    does: "ask the last question again",
    run: (chat) => {
      if (!chat.conversation.dropReply()) throw new UsageError("Nothing has been asked yet.");
      return chat.reply();
    },
  },
  {
    name: "/undo",
    does: "take the last question back, to change it",
    run: (chat) => {
      chat.draft = chat.conversation.takeBack();
      if (chat.draft === undefined) throw new UsageError("Nothing has been asked yet.");
    },
  },
  {
    name: "/clear",
    does: "forget the conversation, but not the system message",
    run: (chat) => chat.conversation.clear(),
  },
  {
    name: "/save",
    argument: "FILE",
    does: "write the conversation to a file",
    run: (chat, file) => chat.save(file),
  },
  {
    name: "/load",
    argument: "FILE",
    does: "go on with the conversation of a file",
    run: (chat, file) => chat.load(file),
  },
  {
    name: "/tools",
    does: "tell what the model may call",
    run: (chat) => chat.note(chat.describeTools()),
  },
  {
    name: "/stats",
    does: "tell how many tokens were used so far",
    run: (chat) => chat.note(`${chat.replies} replies: ${describeUsage(chat)}`),
  },
  { name: "/help", does: "show this", run: (chat) => chat.note(help()) },
  {
    name: "/exit",
    does: "leave",
    run: (chat) => {
      chat.isOver = true;
    },
  },
];

function help(): string {
  const rows = COMMANDS.map(({ name, argument, isOptional, does }) => {
    const behind = argument && (isOptional ? ` [${argument}]` : ` ${argument}`);
    return `${`${name}${behind ?? ""}`.padEnd(18)}${does}`;
  });
  return [
    ...rows,
    "",
    'A message of several lines stands between """ and """, or each line but the last ends with \\.',
    "A line that begins with a space is never a command. Ctrl-C interrupts a reply; Ctrl-D leaves.",
  ].join("\n");
}

const NAMES = COMMANDS.map(({ name }) => name);

/** What Tab makes of the beginning of a line: a command, or the file behind one. */
export function complete(line: string): string[] {
  const [, before, beginning] = /^(\/\w+ +)(.*)$/.exec(line) ?? [];
  if (before === undefined)
    return isCommand(line) ? NAMES.filter((name) => name.startsWith(line)) : [];
  const takesFile = COMMANDS.some(
    ({ name, argument }) => argument === "FILE" && name === before.trim(),
  );
  return takesFile ? completePath(beginning!).map((path) => before + path) : [];
}

/** Whether a message is a command. */
export function isCommand(message: string): boolean {
  return /^\/.*$/.test(message);
}

/** Does what a command says; throws a `UsageError` for one that there is not. */
export async function runCommand(chat: Chat, message: string): Promise<void> {
  const [, name = "", argument = ""] = /^(\S+)\s*(.*)$/.exec(message.trim()) ?? [];
  const command = COMMANDS.find((each) => each.name === name);
  if (!command) throw unknown(name);
  if (argument !== "" && command.argument === undefined) {
    throw new UsageError(`${name} has nothing behind it.`);
  }
  if (argument === "" && command.argument !== undefined && !command.isOptional) {
    throw new UsageError(`${name} needs ${command.argument} behind it.`);
  }
  await command.run(chat, argument);
}

async function changeModel(chat: Chat, name: string): Promise<void> {
  await chat.model.change(name);
  await chat.note(chat.model.name);
}

async function showPicture(chat: Chat, file: string): Promise<void> {
  const { conversation } = chat;
  if (file === "") conversation.pictures = [];
  else await chat.addPictures([file]);
  const { length } = conversation.pictures;
  const count = length === 1 ? "1 picture goes" : `${length || "No"} pictures go`;
  await chat.note(`${count} with the next message.`);
}

function unknown(name: string): UsageError {
  const near = nearestName(name, NAMES);
  const hint = near ? `Did you mean ${near}?` : "/help tells which there are.";
  return new UsageError(`There is no command ${name}.`, hint);
}
