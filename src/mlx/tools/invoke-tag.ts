import { parseJson } from "../../fields.js";
import type { Incoming, Reading } from "../reply/incoming.js";
import { ArgumentWriter } from "./argument-writer.js";
import type { CallFrame } from "./call-grammar.js";
import { beginCall, isFunctionName, type OfferedTools, type ToolDialect } from "./dialect.js";

/** `<invoke name="look"><parameter name="at">it</parameter></invoke>`, between two marks. */
function invokeTag(open: string, close: string, prefix = ""): ToolDialect {
  const invoke = `<${prefix}invoke name="`;
  return {
    isTaughtBy: (template) => template.includes(open) || template.includes(`${prefix}invoke name=`),
    openings: [open],
    marks: [close, prefix],
    frame: () => frameOf(open, close, prefix),
    *read(incoming, _opening, tools) {
      let hasCalled = false;
      yield* incoming.skipSpace();
      while (yield* incoming.skip(invoke)) {
        if (!(yield* readInvoke(incoming, prefix, tools))) return hasCalled;
        hasCalled = true;
        yield* incoming.skipSpace();
      }
      yield* incoming.skip(close);
      return hasCalled;
    },
  };
}

function frameOf(open: string, close: string, prefix: string): CallFrame {
  const end = `</${prefix}parameter>\n`;
  const kinds = { text: 'true">', json: 'false">' };
  return {
    begin: `${open}\n`,
    end: close,
    call: (name) => [[`<${prefix}invoke name="${name}">\n`], `</${prefix}invoke>\n`],
    ...(prefix === ""
      ? { argument: (key) => [`<parameter name="${key}">`, end] }
      : { argument: (key) => [`<${prefix}parameter name="${key}" string="`, end], kinds }),
  };
}

function* readInvoke(incoming: Incoming, prefix: string, tools: OfferedTools): Reading<boolean> {
  const { text: name, mark } = yield* incoming.takeUntil(['">', "\n"]);
  if (mark !== '">' || !isFunctionName(name)) return false;
  yield* beginCall(incoming, name);
  const writer = new ArgumentWriter(tools, name);
  yield* incoming.skipSpace();
  while (yield* incoming.skip(`<${prefix}parameter name="`)) {
    const key = yield* incoming.takeUntil(['"']);
    const attributes = yield* incoming.takeUntil([">"]);
    const value = yield* incoming.takeUntil([`</${prefix}parameter>`]);
    if (value.mark === undefined) {
      yield* writer.breakOff(key.text + value.text);
      return true;
    }
    const isText = /string="(true|false)"/.exec(attributes.text)?.[1];
    if (isText === "true") yield* writer.add(key.text, value.text);
    else if (isText === "false") yield* writer.add(key.text, jsonOrText(value.text));
    else yield* writer.addText(key.text, value.text);
    yield* incoming.skipSpace();
  }
  const isWhole = (yield* incoming.skip(`</${prefix}invoke>`)) || (yield* incoming.isNext("</"));
  yield* isWhole ? writer.end() : writer.breakOff("");
  return true;
}

/** What is no JSON is a text all the same. */
function jsonOrText(text: string): unknown {
  const value = parseJson(text);
  return value === undefined ? text : value;
}

/** MiniMax M2, and DeepSeek V3.2, which says of each value whether it is a text. */
export const INVOKE_TAGS = [
  invokeTag("<minimax:tool_call>", "</minimax:tool_call>"),
  invokeTag("<｜DSML｜function_calls>", "</｜DSML｜function_calls>", "｜DSML｜"),
];
