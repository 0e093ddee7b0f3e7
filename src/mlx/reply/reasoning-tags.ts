import type { Tokenizer } from "../tokenizer.js";
import type { Incoming, Reading } from "./incoming.js";

/** How a family of models marks what it thinks before it answers. */
export interface ReasoningTags {
  open: string;
  close: string;
}

const TAGS: ReasoningTags[] = [
  { open: "<think>", close: "</think>" },
  { open: "<seed:think>", close: "</seed:think>" },
  { open: "[THINK]", close: "[/THINK]" },
  { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
  { open: "<|channel>thought", close: "<channel|>" },
  { open: "<|inner_prefix|>", close: "<|inner_suffix|>" },
  { open: "<longcat_think>", close: "</longcat_think>" },
];

/** The tags that a chat template names, or else those that the model has tokens for. */
export function reasoningTagsOf(
  template: string,
  tokenizer: Pick<Tokenizer, "tokenId">,
): ReasoningTags | undefined {
  const isToken = (text: string) => tokenizer.tokenId(text) !== undefined;
  return (
    TAGS.find(({ open, close }) => template.includes(open) || template.includes(close)) ??
    TAGS.find(({ open, close }) => isToken(open) && isToken(close))
  );
}

/** Whether the end of a prompt has begun the reasoning, as some templates do. */
export function beginsReasoning(prompt: string, { open, close }: ReasoningTags): boolean {
  const start = prompt.lastIndexOf(open);
  if (start < 0) return false;
  const tail = prompt.slice(start + open.length);
  // A question may hold the tag, too, but then more than other tags comes after it.
  return !tail.includes(close) && /^\s*(<[^<>\s]+>\s*)*$/.test(tail);
}

/** Reads reasoning, if the reply begins with it. */
export function* readReasoning(
  incoming: Incoming,
  { open, close }: ReasoningTags,
  hasBegun: boolean,
): Reading {
  if (!hasBegun) {
    incoming.keep();
    yield* incoming.skipSpace();
    if (!(yield* incoming.skip(open))) return incoming.giveBack();
    incoming.settle();
  }
  incoming.isReasoning = true;
  yield* incoming.skipSpace();
  const { mark } = yield* incoming.giveUntil("reasoning", [close]);
  incoming.isReasoning = false;
  if (mark !== undefined) yield* incoming.skipSpace();
}
