import type { LLMClient } from "../index.js";
import { openClient } from "./client.js";
import { UsageError } from "./exit-codes.js";
import type { CommonOptions } from "./flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";
import { keeperOf } from "./keeper.js";
import { cellText } from "./table.js";

/** Removes a model, if the user agrees, and tells what that frees. */
export async function removeModel(
  { model, yes, ...options }: CommonOptions & { model: string; yes: boolean },
  io: Io,
): Promise<void> {
  const sources = await keeperOf(options.sources);
  await using client = await openClient({ ...options, sources }, io);
  if (!yes && !(await isWanted(model, client, io))) {
    await io.stderr.write("Nothing was removed.\n");
    return;
  }
  const removed = await client.removeModel(model, { signal: io.signal });
  if (options.json) return io.stdout.write(`${JSON.stringify(removed, undefined, 2)}\n`);
  await io.stdout.write(`Removed ${cellText(model)}: ${formatBytes(removed.bytes)} are free.\n`);
}

async function isWanted(model: string, client: LLMClient, io: Io): Promise<boolean> {
  if (!io.stdin.isTTY || !io.stderr.isTTY) {
    throw new UsageError("Nobody can be asked here whether to remove it.", "Add --yes.");
  }
  // Of an unfinished download nothing can be shown.
  const shown = await client.showModel(model, { signal: io.signal }).catch(() => undefined);
  const bytes = shown?.files?.reduce((sum, { size }) => sum + size, 0);
  const place = shown?.path === undefined ? "" : ` (${formatBytes(bytes)} in ${shown.path})`;
  await io.stderr.write(`Remove ${cellText(model + place)}? [y/N] `);
  return /^y(es)?$/i.test((await io.stdin.readLine()).trim());
}
