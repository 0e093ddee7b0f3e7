import { type Flag, quoted, type Syntax, withAllCommands } from "./syntax.js";

/** A script for a folder of fpath, or to be read by `source`. */
export function zshScript(root: Syntax): string {
  return `#compdef llm-client llm_client
${withAllCommands(root).map(functionOf).join("\n")}
if [[ $funcstack[1] == _llm-client ]]; then _llm-client "$@"
else compdef _llm-client llm-client llm_client; fi
`;
}

function functionOf({ path, words, flags, commands }: Syntax): string {
  const entries = words.map(({ name, description }) => quoted(`${name}:${description}`));
  const cases = commands.map(
    (each) => `      ${each.path.at(-1)}) _llm-client_${each.path.join("_")} ;;\n`,
  );
  const rest = words.length > 0 ? "'1:word:->word' '*::argument:->argument'" : "'*:text: '";
  return `_${["llm-client", ...path].join("_")}() {
  local context state state_descr line curcontext="$curcontext"
  local -A opt_args
  local -a entries=(${entries.join(" ")})
  _arguments -C ${flags.map(specificationOf).join(" ")} ${rest}
  case $state in
    word) _describe word entries ;;
    argument) case $line[1] in
${cases.join("")}    esac ;;
  esac
}`;
}

/** Such as `{-p+,--provider=}'[which provider to use]:value:(mlx ollama)'`. */
function specificationOf({ short, long, description, value }: Flag): string {
  const names = value ? [short && `${short}+`, `${long}=`] : [short, long];
  const given = names.filter((name) => name !== undefined);
  const text = `[${description.replace(/[[\]\\]/g, "\\$&")}]`;
  const action = value ? `:value:${actionOf(value)}` : "";
  return (given.length > 1 ? `{${given.join(",")}}` : given[0]) + quoted(text + action);
}

function actionOf(value: NonNullable<Flag["value"]>): string {
  if (Array.isArray(value)) return `(${value.join(" ")})`;
  return value === "file" ? "_files" : " ";
}
