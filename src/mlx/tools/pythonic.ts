import type { Incoming, Reading } from "../reply/incoming.js";
import { ArgumentWriter } from "./argument-writer.js";
import { beginCall, isFunctionName, type OfferedTools, type ToolDialect } from "./dialect.js";
import { readJsonCalls } from "./json-call.js";
import { endsString, pythonText, pythonValue } from "./python-literal.js";
import type { CallFrame } from "./call-grammar.js";
import type { Notation } from "./value-rules.js";

type PythonFrame = Pick<CallFrame, "begin" | "separator" | "end">;

const PYTHON: Notation = {
  text: [/"([^"\\\n]|\\["'\\nrt])*"|'([^'\\\n]|\\["'\\nrt])*'/],
  quoted: pythonText,
  words: { true: "True", false: "False", null: "None" },
  key: (name) => `${pythonText(name)}: `,
  anyKey: [/"[^"\\\n]{1,64}": /],
  comma: ", ",
};

/** Calls as Python writes them, `[look(at="it"), wait()]`, between two marks. */
function pythonic(open: string, close: string, around: PythonFrame): ToolDialect {
  return {
    isTaughtBy: (template) => template.includes(open),
    openings: [open],
    marks: [close],
    frame: () => ({
      ...around,
      call: (name) => [[`${name}(`], ")"],
      argument: (key) => [`${key}=`, ""],
      comma: ", ",
      notation: PYTHON,
    }),
    *read(incoming, _opening, tools) {
      yield* incoming.skipSpace();
      // Who asks for JSON in the system message gets it.
      const isJson = /^\[?\s*\{/.test(yield* beginning(incoming));
      const isCall = isJson
        ? yield* readJsonCalls(incoming, { until: close })
        : yield* readPythonCalls(incoming, tools);
      if (!isCall) return false;
      // Of a call that broke off, nothing up to the mark is text.
      yield* incoming.takeUntil([close]);
      return true;
    },
  };
}

/** LFM2, and Olmo 3, which writes each call on a line of its own. */
export const PYTHONIC = [
  pythonic("<|tool_call_start|>", "<|tool_call_end|>", {
    begin: "<|tool_call_start|>[",
    separator: ", ",
    end: "]<|tool_call_end|>",
  }),
  pythonic("<function_calls>", "</function_calls>", {
    begin: "<function_calls>\n",
    separator: "\n",
    end: "\n</function_calls>",
  }),
];

/** The first characters that tell what follows. */
function* beginning(incoming: Incoming): Reading<string> {
  while (/^\[?\s*$/.test(incoming.text) && (yield* incoming.more()));
  return incoming.text.slice(0, 64);
}

/** Reads one call or several, in brackets or not; false where there is none. */
export function* readPythonCalls(
  incoming: Incoming,
  tools: OfferedTools,
  isCall: (name: string) => boolean = isFunctionName,
): Reading<boolean> {
  const isList = yield* incoming.skip("[");
  let hasCalled = false;
  for (;;) {
    yield* incoming.skipSpace();
    if (!/^[A-Za-z_]/.test(incoming.text)) break;
    if (!(yield* readPythonCall(incoming, tools, isCall))) break;
    hasCalled = true;
    yield* incoming.skipSpace();
    yield* incoming.skip(",");
  }
  if (hasCalled && isList) yield* incoming.skip("]");
  return hasCalled;
}

function* readPythonCall(
  incoming: Incoming,
  tools: OfferedTools,
  isCall: (name: string) => boolean,
): Reading<boolean> {
  const name = yield* takeName(incoming);
  if (!isCall(name) || !(yield* incoming.skip("("))) return false;
  yield* beginCall(incoming, name);
  const writer = new ArgumentWriter(tools, name);
  for (;;) {
    yield* incoming.skipSpace();
    if (yield* incoming.skip(")")) break;
    const key = yield* takeName(incoming);
    yield* incoming.skipSpace();
    const hasValue = key !== "" && (yield* incoming.skip("="));
    const literal = yield* takeLiteral(incoming);
    const value = hasValue ? pythonValue(literal) : undefined;
    yield* incoming.skipSpace();
    const isWhole = (yield* incoming.skip(",")) || (yield* incoming.isNext(")"));
    if (value === undefined || !isWhole) {
      yield* writer.breakOff(`${key}${hasValue ? "=" : ""}${literal}`);
      return true;
    }
    yield* writer.add(key, value);
  }
  yield* writer.end();
  return true;
}

function* takeName(incoming: Incoming): Reading<string> {
  let name = "";
  do name += incoming.take(/^[\w.:/-]*/.exec(incoming.text)![0].length);
  while (incoming.text === "" && (yield* incoming.more()));
  return name;
}

/** Takes a literal up to the comma or parenthesis behind it. */
function* takeLiteral(incoming: Incoming): Reading<string> {
  let depth = 0;
  let quote = "";
  let at = 0;
  for (;;) {
    if (at >= incoming.text.length && !(yield* incoming.more())) break;
    const character = incoming.text[at];
    if (character === undefined) continue;
    if (quote !== "") {
      if (character === "\\") at++;
      else if (character === quote) {
        // What comes behind it tells whether it ends the string.
        while (/^\s*$/.test(incoming.text.slice(at + 1)) && (yield* incoming.more()));
        if (endsString(incoming.text, at)) quote = "";
      }
    } else if (character === "'" || character === '"') quote = character;
    else if ("[{(".includes(character)) depth++;
    else if (depth === 0 && ",)".includes(character)) break;
    else if ("]})".includes(character)) depth--;
    at++;
  }
  return incoming.take(at);
}
