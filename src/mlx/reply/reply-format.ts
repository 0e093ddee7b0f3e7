import type { Tool } from "../../types.js";
import {
  type OfferedTools,
  readText,
  readTextAndCalls,
  type ToolDialect,
} from "../tools/dialect.js";
import { dialectOf } from "../tools/dialects.js";
import type { Tokenizer } from "../tokenizer.js";
import type { CallFrame, Part } from "../tools/call-grammar.js";
import {
  HARMONY_ANSWER,
  HARMONY_FRAME,
  HARMONY_MARKS,
  HARMONY_REASONING,
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
  /** The mark at which reasoning ends that the prompt has begun. */
  reasoningUntil?: string;
  newId?: ToolDialect["newId"];
  /** How a reply can be kept to calls. */
  calls?: CallsFormat;
}

/** Calls, and what may stand before them. */
export interface CallsFormat {
  frame: CallFrame;
  marks: string[];
  /** Reasoning that may come first, as tokens and regular expressions. */
  prelude: Part[];
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
      endOfReasoning: HARMONY_ANSWER,
      calls: { frame: HARMONY_FRAME, marks: HARMONY_MARKS, prelude: HARMONY_REASONING },
    };
  }
  const tags = reasoningTagsOf(template, tokenizer);
  const hasBegun = tags !== undefined && beginsReasoning(prompt, tags);
  const dialect = tools.length > 0 ? dialectOf(template) : undefined;
  const offered: OfferedTools = new Map(tools.map((tool) => [tool.function.name, tool.function]));
  const marks = [...marksOf(tags), ...(dialect?.openings ?? []), ...(dialect?.marks ?? [])];
  const frame = dialect?.frame?.(template);
  return {
    marks,
    *read(incoming) {
      if (tags) yield* readReasoning(incoming, tags, hasBegun);
      if (dialect) yield* readTextAndCalls(incoming, dialect, offered);
      else yield* readText(incoming);
    },
    ...(tags && { endOfReasoning: `\n${tags.close}\n\n` }),
    ...(hasBegun && { reasoningUntil: tags.close }),
    ...(dialect?.newId && { newId: dialect.newId }),
    ...(frame && {
      calls: {
        frame,
        marks,
        prelude: tags && !hasBegun ? [tags.open, THOUGHTS, tags.close, BLANKS] : [],
      },
    }),
  };
}

/** Thoughts that do not hold the beginning of a closing tag; Rust wants brackets escaped. */
const THOUGHTS = /([^<\x5b]|<[^/]|\x5b[^/])*/;
const BLANKS = /\s{0,3}/;

function marksOf(tags: ReasoningTags | undefined): string[] {
  if (!tags) return [];
  // Gemma's tag is a token and a word.
  return [tags.open, tags.close, /^<\|channel>/.exec(tags.open)?.[0] ?? ""].filter(Boolean);
}
