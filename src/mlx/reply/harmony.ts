import type { CallFrame } from "../tools/call-grammar.js";
import { beginCall, readText } from "../tools/dialect.js";
import type { Incoming, Reading } from "./incoming.js";
import { takeJson } from "./json-text.js";
import type { Thoughts } from "./reply-format.js";

const START = "<|start|>";
const CHANNEL = "<|channel|>";
const MESSAGE = "<|message|>";
const CONSTRAIN = "<|constrain|>";
const END = "<|end|>";
const CALL = "<|call|>";
const RETURN = "<|return|>";
const ENDS = [END, CALL, RETURN, START];

/** The tokens of harmony, the form of gpt-oss's replies, that stand for no text. */
export const HARMONY_MARKS = [START, CHANNEL, MESSAGE, CONSTRAIN, END, CALL, RETURN];

/** What ends the reasoning. */
export const HARMONY_END = `${END}${START}assistant`;

/** What begins the answer behind it. */
export const HARMONY_ANSWER = `${CHANNEL}final${MESSAGE}`;

/** How it writes calls. */
export const HARMONY_FRAME: CallFrame = {
  call: (name) => [[`${CHANNEL}commentary to=functions.${name} ${CONSTRAIN}json${MESSAGE}`], ""],
};

/** How it writes thoughts. */
export const HARMONY_THOUGHTS: Thoughts = {
  open: `${CHANNEL}analysis${MESSAGE}`,
  ends: ENDS,
  behind: `${START}assistant`,
};

/** Whether a chat template writes harmony. */
export function isHarmony(template: string): boolean {
  return template.includes(CHANNEL) && template.includes(MESSAGE);
}

/** Reads messages in channels: thoughts are the "analysis", calls go to "functions.name". */
export function* readHarmony(incoming: Incoming): Reading {
  const given = new Set<string>();
  for (;;) {
    yield* incoming.skipSpace();
    const hasStart = yield* incoming.skip(START);
    const isMessage =
      hasStart || (yield* incoming.isNext(CHANNEL)) || (yield* incoming.isNext("to="));
    if (!isMessage) return yield* readText(incoming);
    const header = yield* incoming.takeUntil([MESSAGE, ...ENDS]);
    if (header.mark !== MESSAGE) continue;
    const name = /\bto=functions\.([\w.-]+)/.exec(header.text)?.[1];
    if (name === undefined) yield* readMessage(incoming, header.text, given);
    else yield* readCall(incoming, name);
  }
}

/** Gives out a message; each but the first of its kind is a paragraph of its own. */
function* readMessage(incoming: Incoming, header: string, given: Set<string>): Reading {
  incoming.isReasoning = /<\|channel\|>\s*analysis/.test(header);
  const type = incoming.isReasoning ? "reasoning" : "text";
  yield* incoming.skipSpace();
  if (given.has(type) && incoming.text !== "") yield { type, text: "\n\n" };
  given.add(type);
  const { blanks, mark } = yield* incoming.giveUntil(type, ENDS);
  incoming.isReasoning = false;
  if (mark === undefined && type === "text" && blanks !== "") yield { type, text: blanks };
  if (mark === START) incoming.text = START + incoming.text;
}

function* readCall(incoming: Incoming, name: string): Reading {
  yield* beginCall(incoming, name);
  yield* incoming.skipSpace();
  // Any of the ends begins so, and no JSON does outside of its strings.
  yield* takeJson(incoming, { until: "<|", asArguments: true });
  yield { type: "call-end" };
  const { mark } = yield* incoming.takeUntil(ENDS);
  if (mark === START) incoming.text = START + incoming.text;
}
