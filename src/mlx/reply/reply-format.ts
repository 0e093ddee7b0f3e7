import type { Tool } from "../../types.js";
import {
  type OfferedTools,
  readText,
  readTextAndCalls,
  type ToolDialect,
} from "../tools/dialect.js";
import { dialectOf } from "../tools/dialects.js";
import type { Tokenizer } from "../tokenizer.js";
import type { Part } from "../lark.js";
import type { CallFrame } from "../tools/call-grammar.js";
import {
  HARMONY_ANSWER,
  HARMONY_END,
  HARMONY_FRAME,
  HARMONY_MARKS,
  HARMONY_THOUGHTS,
  isHarmony,
  readHarmony,
} from "./harmony.js";
import type { Incoming, Reading } from "./incoming.js";
import {
  beginsReasoning,
  readReasoning,
  type ReasoningTags,
  reasoningTagsOf,
} from "./reasoning-tags.js";

/** How the replies of a model are to be read. */
export interface ReplyFormat {
  /** Tokens that stand for no text, but must be seen to read it. */
  marks: string[];
  read(incoming: Incoming): Reading;
  /** What ends the reasoning, where there may be some. */
  endOfReasoning?: string;
  /** What stands before the content, besides. */
  answer?: string;
  newId?: ToolDialect["newId"];
  /** How reasoning is written, for a grammar of the reply. */
  thoughts?: Thoughts;
  /** How calls are written, for such a grammar, and what tells them from text. */
  calls?: { frame: CallFrame; openings: string[] };
}

/** Reasoning in a reply. */
export interface Thoughts {
  /** Empty where the prompt has begun it. */
  open: string;
  /** The first one ends it, and none of them is a part of it. */
  ends: string[];
  behind: Part;
}

/** Text and nothing else. */
export const PLAIN_TEXT: ReplyFormat = { marks: [], read: readText };

/** What tells how a reply will be written. */
interface Signs {
  template: string;
  /** As the template rendered it. */
  prompt: string;
  tools?: Tool[];
  tokenizer: Pick<Tokenizer, "tokenId">;
}

/** How the reply to a prompt will be written, as far as its chat template tells. */
export function replyFormat({ template, prompt, tools = [], tokenizer }: Signs): ReplyFormat {
  if (isHarmony(template)) {
    return {
      marks: HARMONY_MARKS,
      read: readHarmony,
      endOfReasoning: HARMONY_END,
      answer: HARMONY_ANSWER,
      thoughts: HARMONY_THOUGHTS,
      ...(tools.length > 0 && { calls: { frame: HARMONY_FRAME, openings: HARMONY_MARKS } }),
    };
  }
  const tags = reasoningTagsOf(template, tokenizer);
  const hasBegun = tags !== undefined && beginsReasoning(prompt, tags);
  const dialect = tools.length > 0 ? dialectOf(template) : undefined;
  const offered: OfferedTools = new Map(tools.map((tool) => [tool.function.name, tool.function]));
  const marks = [...marksOf(tags), ...(dialect?.openings ?? []), ...(dialect?.marks ?? [])];
  return {
    marks,
    *read(incoming) {
      if (tags) yield* readReasoning(incoming, tags, hasBegun);
      if (dialect) yield* readTextAndCalls(incoming, dialect, offered);
      else yield* readText(incoming);
    },
    ...(tags && {
      endOfReasoning: `\n${tags.close}\n\n`,
      thoughts: { open: hasBegun ? "" : tags.open, ends: [tags.close], behind: BLANKS },
    }),
    ...(dialect?.newId && { newId: dialect.newId }),
    ...(dialect && { calls: { frame: dialect.frame(template), openings: dialect.openings } }),
  };
}

const BLANKS = /\s{0,3}/;

function marksOf(tags: ReasoningTags | undefined): string[] {
  if (!tags) return [];
  // Gemma's tag is a token and a word.
  return [tags.open, tags.close, /^<\|channel>/.exec(tags.open)?.[0] ?? ""].filter(Boolean);
}
