import type { Command } from "commander";
import { bashScript } from "./bash.js";
import { fishScript } from "./fish.js";
import { syntaxOf } from "./syntax.js";
import { zshScript } from "./zsh.js";

/** How each shell is told what can be written after `llm-client`. */
export const scripts = {
  bash: (program: Command) => bashScript(syntaxOf(program)),
  zsh: (program: Command) => zshScript(syntaxOf(program)),
  fish: (program: Command) => fishScript(syntaxOf(program)),
};
