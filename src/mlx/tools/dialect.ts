import type { Tool } from "../../types.js";
import type { Incoming, Reading } from "../reply/incoming.js";
import type { CallFrame } from "./call-grammar.js";

/** The tools on offer, by their names. */
export type OfferedTools = ReadonlyMap<string, Tool["function"]>;

/** How a family of models writes the calls of tools. */
export interface ToolDialect {
  /** Whether a chat template teaches it. */
  isTaughtBy(template: string): boolean;
  /** Texts that begin calls; without any, calls stand only at the beginning of a reply. */
  openings: string[];
  /** More tokens that are part of it, among those that stand for no text. */
  marks?: string[];
  /** Reads the calls behind an opening; false where there are none, and then nothing is given out. */
  read(incoming: Incoming, opening: string, tools: OfferedTools): Reading<boolean>;
  /** How calls are to be written, for a grammar. */
  frame(template: string): CallFrame;
  /** The id of a call that the model gave none. */
  newId?(name: string, index: number): string;
}

/** Reads text with calls in it. */
export function* readTextAndCalls(
  incoming: Incoming,
  dialect: ToolDialect,
  tools: OfferedTools,
): Reading {
  if (dialect.openings.length === 0) return yield* readCallsOrText(incoming, dialect, tools);
  let hasCalled = false;
  for (;;) {
    const { blanks, mark } = yield* incoming.giveUntil("text", dialect.openings);
    if (mark === undefined) {
      // Between and behind calls they only keep them apart.
      if (!hasCalled && blanks !== "") yield { type: "text", text: blanks };
      return;
    }
    const isCall = yield* attempt(incoming, mark, dialect, tools);
    if (!isCall) yield { type: "text", text: blanks + mark };
    hasCalled ||= isCall;
  }
}

/** Reads a reply that is either calls or text. */
function* readCallsOrText(incoming: Incoming, dialect: ToolDialect, tools: OfferedTools): Reading {
  yield* attempt(incoming, "", dialect, tools);
  yield* readText(incoming);
}

/** Reads text with nothing else in it. */
export function* readText(incoming: Incoming): Reading {
  do {
    if (incoming.text !== "") yield { type: "text", text: incoming.take() };
  } while (yield* incoming.more());
}

/** What turns out to be no call is given back. */
function* attempt(
  incoming: Incoming,
  opening: string,
  dialect: ToolDialect,
  tools: OfferedTools,
): Reading<boolean> {
  incoming.keep();
  const isCall = yield* dialect.read(incoming, opening, tools);
  if (isCall) incoming.settle();
  else incoming.giveBack();
  return isCall;
}

/** A call begins, and nothing of it will be given back any more. */
export function* beginCall(incoming: Incoming, name: string, id?: string): Reading {
  incoming.settle();
  yield { type: "call", name, ...(id !== undefined && { id }) };
}

/** A name as functions have them; anything else is most likely no call. */
export function isFunctionName(text: string): boolean {
  return /^[\w.:/-]{1,128}$/.test(text);
}
