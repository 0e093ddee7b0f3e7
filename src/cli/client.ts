import type { LLMClient, LLMConfig } from "../index.js";
import type { CommonOptions } from "./flags.js";
import type { Io } from "./io.js";
import { cellText } from "./table.js";

/**
 * The client that the flags ask for; it is closed when the user interrupts. Its warnings go to
 * stderr, unless `config` has another logger.
 */
export async function openClient(
  { sources }: CommonOptions,
  { stderr, signal }: Io,
  config: LLMConfig = {},
): Promise<LLMClient> {
  const { LLMClient } = await import("../index.js");
  signal.throwIfAborted();
  const warn = (message: string) => void stderr.write(`warning: ${cellText(message)}\n`);
  const logger = { debug() {}, info() {}, warn, error: warn };
  const client = new LLMClient({ logger, ...config }, sources);
  signal.addEventListener("abort", () => void client.close());
  return client;
}
