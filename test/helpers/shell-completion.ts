import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";

/** How each shell is made to say what it would offer after a line; lines come as arguments. */
const DRIVERS = {
  bash: [
    "-c",
    `source "$0"
for line; do
  COMP_WORDS=($line)
  if [[ $line == *" " ]]; then COMP_WORDS+=(""); fi
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
  _llm_client
  echo "\${COMPREPLY[@]}"
done`,
  ],
  fish: [
    "-N",
    "-c",
    `source $argv[1]
for line in $argv[2..]
  echo (complete -C $line | string replace -r "\\t.*" "")
end`,
  ],
  // Completion lives in the line editor, so a second zsh is typed into.
  zsh: [
    "-f",
    "-c",
    `zmodload zsh/zpty
offers=$(mktemp)
zpty typed zsh -f -i
zpty -w typed "autoload -Uz compinit; compinit -D -u; source $0"
zpty -w typed "compadd() { local -a hits; builtin compadd -O hits \\"\\$@\\"; print -rn -- \\"\\$hits \\" >> $offers }"
zpty -w typed "end-of-line-offers() { print >> $offers; BUFFER= }; zle -N end-of-line-offers"
zpty -w typed "bindkey '^I' complete-word; bindkey '^T' end-of-line-offers"
count=0
for line; do
  zpty -n -w typed "$line"$'\\t\\C-t'
  ((count += 1))
  until (( $(wc -l < $offers) >= count )); do zpty -r -t typed output; sleep 0.05; done
done
cat $offers; rm $offers`,
  ],
};

/** A shell that can be made to complete. */
export type CompletingShell = keyof typeof DRIVERS;

/** Whether the shell is installed. */
export function hasShell(shell: CompletingShell): boolean {
  return spawnSync(shell, ["-c", "exit 0"]).status === 0;
}

/** What a shell that has read a script offers at the end of each line, in alphabetical order. */
export async function offersAfter(
  shell: CompletingShell,
  script: string,
  lines: string[],
): Promise<string[][]> {
  const args = [...DRIVERS[shell], script, ...lines];
  const { stdout } = await promisify(execFile)(shell, args, { timeout: 30_000 });
  const offers = stdout.split("\n").slice(0, lines.length);
  return offers.map((line) => [...new Set(line.split(" ").filter(Boolean))].sort());
}
