import type { Command } from "commander";

/** Parses flags as a command does; gives the options it would run with, or the refusal's text. */
export async function parseCommand<Options>(
  create: (run: (options: Options) => Promise<void>) => Command,
  args: string[],
): Promise<{ options?: Options; refusal: string }> {
  let options: Options | undefined;
  let refusal = "";
  const command = create(async (parsed) => {
    options = parsed;
  });
  for (const each of [command, ...command.commands]) {
    each.exitOverride().configureOutput({ writeErr: (text) => (refusal += text) });
  }
  await command.parseAsync(args, { from: "user" }).catch(() => undefined);
  return { options, refusal };
}
