import type { Command, Option } from "commander";

/** What can be written after a command. */
export interface Syntax {
  /** Names from the first command on; none for the program itself. */
  path: string[];
  /** Commands, or the words that its argument may be. */
  words: { name: string; description: string }[];
  flags: Flag[];
  commands: Syntax[];
}

/** What can be written with dashes. */
export interface Flag {
  /** For example "-p"; not every flag has one. */
  short?: string;
  /** For example "--provider". */
  long: string;
  description: string;
  /** What comes after it: nothing, one of these words, a file or a folder, or any text. */
  value?: string[] | "file" | "text";
}

/** What a command of commander knows; `siblings` are the commands beside it. */
export function syntaxOf(
  command: Command,
  path: string[] = [],
  siblings: readonly Command[] = [],
): Syntax {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const named = command.name() === "help" ? siblings : commands;
  const choices = command.registeredArguments.flatMap(({ argChoices = [] }) => argChoices);
  return {
    path,
    words: [
      ...named.map((each) => ({ name: each.name(), description: each.description() })),
      ...choices.map((name) => ({ name, description: "" })),
    ],
    flags: help.visibleOptions(command).map(flagOf),
    commands: commands.map((each) => syntaxOf(each, [...path, each.name()], command.commands)),
  };
}

/** A command with all below it. */
export function withAllCommands(syntax: Syntax): Syntax[] {
  return [syntax, ...syntax.commands.flatMap(withAllCommands)];
}

/** The ways to write a flag. */
export function namesOf({ short, long }: Flag): string[] {
  return short === undefined ? [long] : [short, long];
}

/** A text in single quotes, as zsh and fish read it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}

/** Every option here has a long name. Models and base URLs may be folders. */
function flagOf({ short, long, description, flags, argChoices, required }: Option): Flag {
  const kind = /<(file|url|name)>/.test(flags) ? "file" : "text";
  return { short, long: long!, description, value: required ? (argChoices ?? kind) : undefined };
}
