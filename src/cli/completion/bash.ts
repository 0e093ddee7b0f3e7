import { type Flag, namesOf, type Syntax, withAllCommands } from "./syntax.js";

/** A script that also the bash 3.2 of macOS reads. */
export function bashScript(root: Syntax): string {
  const all = withAllCommands(root);
  const [, ...commands] = all;
  const paths = commands.map(({ path }) => `"${path.slice(0, -1).join(" ")} ${path.at(-1)}"`);
  return `_llm_client() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local command="" words="" index
  # bash takes the = of --flag=value for a word.
  if [[ $current == "=" ]]; then current=""
  elif [[ $previous == "=" ]]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$command \${COMP_WORDS[index]}" in
      ${paths.join(" | ")}) command="\${command:+$command }\${COMP_WORDS[index]}" ;;
      *) break ;;
    esac
  done
  case "$command $previous" in
${valueCases(all).join("\n")}
    *) case "$command" in
${all.map(wordCase).join("\n")}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
# Where nothing fits, files are offered.
complete -o default -F _llm_client llm-client llm_client
`;
}

/** Where a flag wants a value: one of some words, or what bash itself offers. */
function valueCases(all: Syntax[]): string[] {
  const flags = all.flatMap((syntax) => syntax.flags.map((flag) => ({ ...syntax, flag })));
  const patternsOf = ({ path, flag }: { path: string[]; flag: Flag }) =>
    namesOf(flag).map((name) => `"${path.join(" ")} ${name}"`);
  const limited = flags.filter(({ flag }) => Array.isArray(flag.value));
  const free = flags.filter(({ flag }) => typeof flag.value === "string");
  return [
    ...limited.map((each) => {
      const words = (each.flag.value as string[]).join(" ");
      return `    ${patternsOf(each).join(" | ")}) words="${words}" ;;`;
    }),
    `    ${free.flatMap(patternsOf).join(" | ")}) ;;`,
  ];
}

function wordCase({ path, words, flags }: Syntax): string {
  const names = [...words.map(({ name }) => name), ...flags.flatMap(namesOf)];
  return `      "${path.join(" ")}") words="${names.join(" ")}" ;;`;
}
