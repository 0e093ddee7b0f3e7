import type { Incoming, Reading } from "../reply/incoming.js";
import type { ToolDialect } from "./dialect.js";
import { readJsonCall } from "./json-call.js";
import { readPythonCalls } from "./pythonic.js";

const PYTHON = ["<|python_tag|>", "<|python_start|>"];
const PYTHON_END = "<|python_end|>";

/**
 * Llama 3 and 4: a reply is nothing but calls, `{"name": "look", "parameters": {…}}` or
 * `[look(at="it")]`. Only the names on offer tell them from other JSON.
 */
export const LLAMA: ToolDialect = {
  isTaughtBy: (template) => PYTHON.some((mark) => template.includes(mark)),
  openings: [],
  marks: [...PYTHON, PYTHON_END],
  frame: () => ({
    separator: "; ",
    call: (name) => [[`{"name": "${name}", "parameters": `], "}"],
  }),
  *read(incoming, _opening, tools) {
    yield* incoming.skipSpace();
    for (const mark of PYTHON) yield* incoming.skip(mark);
    const isCall = (name: string) => tools.has(name);
    if (yield* incoming.isNext("[")) {
      const hasCalled = yield* readPythonCalls(incoming, tools, isCall);
      if (hasCalled) yield* skipEnd(incoming, PYTHON_END);
      return hasCalled;
    }
    let hasCalled = false;
    while (yield* readJsonCall(incoming, { isCall })) {
      hasCalled = true;
      yield* skipEnd(incoming, ";");
    }
    return hasCalled;
  },
};

function* skipEnd(incoming: Incoming, mark: string): Reading {
  yield* incoming.skipSpace();
  yield* incoming.skip(mark);
  yield* incoming.skipSpace();
}
