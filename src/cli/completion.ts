import { Argument, Command } from "commander";
import type { Io } from "./io.js";

/** A shell that completions can be made for. */
export type Shell = "bash" | "zsh" | "fish";

const SHELLS: Shell[] = ["bash", "zsh", "fish"];

const EXAMPLES = `
Examples:
  $ llm-client completion bash > ~/.local/share/bash-completion/completions/llm-client
  $ llm-client completion zsh > "\${fpath[1]}/_llm-client"
  $ llm-client completion fish > ~/.config/fish/completions/llm-client.fish`;

/** The help of `llm-client completion`. */
export function completionCommand(run: (shell: Shell) => Promise<void>): Command {
  return new Command("completion")
    .description("print a script that completes commands and flags in your shell")
    .addArgument(new Argument("<shell>", "your shell").choices(SHELLS))
    .addHelpText("after", EXAMPLES)
    .action((shell: Shell) => run(shell));
}

/** Prints the script for what a program knows. */
export async function runCompletion(shell: Shell, program: Command, { stdout }: Io): Promise<void> {
  const { scripts } = await import("./completion/scripts.js");
  await stdout.write(scripts[shell](program));
}
