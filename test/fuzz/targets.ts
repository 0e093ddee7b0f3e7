import { LLMError } from "../../src/errors.js";
import { answerBody } from "./bodies.js";
import { readConfig, readGguf, readSafetensors, readTokenizer, renderTemplate } from "./files.js";
import { bodies, fixtures, replies, streams } from "./seeds.js";
import { readEvents, readLines, readReply } from "./streams.js";

/** What reads bytes of strangers. Any error that it throws must be one of this package. */
export interface Target {
  read(data: Buffer): unknown;
  /** Good inputs to begin with. */
  seeds(): Buffer[];
}

/** Everything that is fuzzed, by its name. */
export const TARGETS: Record<string, Target> = {
  safetensors: { read: readSafetensors, seeds: () => fixtures(/adapters.*\.safetensors$/) },
  config: { read: readConfig, seeds: () => fixtures(/^models\/[a-m].*config\.json$/) },
  tokenizer: { read: readTokenizer, seeds: () => fixtures(/tokenizer\.json$/) },
  template: { read: renderTemplate, seeds: () => fixtures(/\.jinja$/) },
  gguf: { read: readGguf, seeds: () => fixtures(/gguf\/.*\.gguf$/) },
  ndjson: { read: readLines, seeds: () => streams(/wire\/ollama.*\.ndjson$/) },
  sse: { read: readEvents, seeds: () => streams(/wire\/.*\.sse$/) },
  reply: { read: readReply, seeds: replies },
  body: { read: answerBody, seeds: bodies },
};

/** Runs a target; what it throws is a finding. */
export async function tryInput({ read }: Target, data: Buffer): Promise<void> {
  try {
    await read(data);
  } catch (error) {
    if (!LLMError.is(error)) throw error;
  }
}
