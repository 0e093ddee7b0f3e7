import { type Flag, quoted, type Syntax, withAllCommands } from "./syntax.js";

/** A script for fish. */
export function fishScript(root: Syntax): string {
  const lines = withAllCommands(root).flatMap(linesOf);
  return `complete -c llm-client -f
complete -c llm_client -w llm-client
${lines.join("\n")}
`;
}

function linesOf({ path, words, flags, commands }: Syntax): string[] {
  const seen = path.map((name) => `__fish_seen_subcommand_from ${name}`);
  const deeper = commands.map((each) => each.path.at(-1)).join(" ");
  const unseen = deeper === "" ? [] : [`not __fish_seen_subcommand_from ${deeper}`];
  const condition = quoted([...seen, ...unseen].join("; and "));
  const line = (what: string, description: string) =>
    `complete -c llm-client -n ${condition} ${what} -d ${quoted(description)}`;
  return [
    ...words.map(({ name, description }) => line(`-a ${name}`, description)),
    ...flags.map((flag) => line(optionsOf(flag), flag.description)),
  ];
}

function optionsOf({ short, long, value }: Flag): string {
  const names = `${short === undefined ? "" : `-s ${short.slice(1)} `}-l ${long.slice(2)}`;
  if (value === undefined) return names;
  if (value === "file") return `${names} -r -F`;
  return Array.isArray(value) ? `${names} -x -a ${quoted(value.join(" "))}` : `${names} -x`;
}
