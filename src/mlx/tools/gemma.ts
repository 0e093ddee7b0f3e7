import type { Incoming, Reading } from "../reply/incoming.js";
import { ArgumentWriter } from "./argument-writer.js";
import { beginCall, isFunctionName, type ToolDialect } from "./dialect.js";
import { pythonValue } from "./python-literal.js";
import type { Notation } from "./value-rules.js";

/** Levels of lists and objects; what is deeper is no argument that anybody wants. */
const DEEPEST = 64;

/** Calls such as `call:look{at:<|"|>it<|"|>,often:true}`, with a token in the place of quotes. */
function gemma(open: string, close: string, quote: string): ToolDialect {
  return {
    isTaughtBy: (template) => template.includes(open),
    openings: [open],
    marks: [close, quote],
    frame: () => ({
      call: (name) => [[`${open}call:${name}{`], `}${close}`],
      argument: (key) => [`${key}:`, ""],
      comma: ",",
      notation: notationOf(quote),
    }),
    *read(incoming, _opening, tools) {
      yield* incoming.skipSpace();
      if (!(yield* incoming.skip("call:"))) return false;
      const { text: name, mark } = yield* incoming.takeUntil(["{"]);
      if (mark === undefined || !isFunctionName(name)) return false;
      yield* beginCall(incoming, name);
      yield* readArguments(incoming, quote, new ArgumentWriter(tools, name));
      yield* incoming.skipSpace();
      yield* incoming.skip(close);
      return true;
    },
  };
}

function notationOf(quote: string): Notation {
  return {
    text: [quote, /(.|\n)*/, quote],
    quoted: (text) => `${quote}${text}${quote}`,
    words: { true: "true", false: "false", null: "null" },
    key: (name) => `${name}:`,
    anyKey: [/[A-Za-z_][\w-]{0,63}:/],
    comma: ",",
  };
}

/** Gemma 4 and FunctionGemma. */
export const GEMMA = [
  gemma("<|tool_call>", "<tool_call|>", '<|"|>'),
  gemma("<start_function_call>", "<end_function_call>", "<escape>"),
];

function* readArguments(incoming: Incoming, quote: string, writer: ArgumentWriter): Reading {
  for (;;) {
    yield* incoming.skipSpace();
    if (yield* incoming.skip("}")) return yield* writer.end();
    const key = yield* takeKey(incoming, quote);
    const value = key === undefined ? undefined : yield* takeValue(incoming, quote);
    if (key === undefined || value === undefined) {
      return yield* writer.breakOff(`${key ?? ""}${incoming.take()}`);
    }
    yield* writer.add(key, value);
    yield* incoming.skipSpace();
    yield* incoming.skip(",");
  }
}

/** A key and its colon; undefined where there is none. */
function* takeKey(incoming: Incoming, quote: string): Reading<string | undefined> {
  const isQuoted = yield* incoming.skip(quote);
  const { text, mark } = yield* incoming.takeUntil([isQuoted ? `${quote}:` : ":"]);
  return mark === undefined ? undefined : text.trim();
}

/** A text, list, object, number or word; undefined where it breaks off. */
function* takeValue(incoming: Incoming, quote: string, depth = 0): Reading<unknown> {
  yield* incoming.skipSpace();
  if (depth > DEEPEST) return undefined;
  if (yield* incoming.skip(quote)) {
    const { text, mark } = yield* incoming.takeUntil([quote]);
    return mark && text;
  }
  if (yield* incoming.skip("[")) return yield* takeList(incoming, quote, depth);
  if (yield* incoming.skip("{")) return yield* takeObject(incoming, quote, depth);
  const { text, mark } = yield* incoming.takeUntil([",", "}", "]"]);
  if (mark === undefined) return undefined;
  incoming.text = mark + incoming.text;
  const value = pythonValue(text);
  return value === undefined ? text.trim() : value;
}

function* takeList(incoming: Incoming, quote: string, depth: number): Reading<unknown> {
  const items: unknown[] = [];
  while (!(yield* incoming.skip("]"))) {
    const item = yield* takeValue(incoming, quote, depth + 1);
    if (item === undefined) return undefined;
    items.push(item);
    yield* incoming.skipSpace();
    if (yield* incoming.skip(",")) yield* incoming.skipSpace();
    else if (yield* incoming.skip("]")) return items;
    else return undefined;
  }
  return items;
}

function* takeObject(incoming: Incoming, quote: string, depth: number): Reading<unknown> {
  const entries: [string, unknown][] = [];
  while (!(yield* incoming.skip("}"))) {
    const key = yield* takeKey(incoming, quote);
    const value = key === undefined ? undefined : yield* takeValue(incoming, quote, depth + 1);
    if (key === undefined || value === undefined) return undefined;
    entries.push([key, value]);
    yield* incoming.skip(",");
    yield* incoming.skipSpace();
  }
  return Object.fromEntries(entries);
}
