import { takeJson } from "../reply/json-text.js";
import { beginCall, type ToolDialect } from "./dialect.js";

const BEGIN = "<|tool_call_begin|>";
const ARGUMENTS = "<|tool_call_argument_begin|>";
const END = "<|tool_call_end|>";
const SECTION = "<|tool_calls_section_begin|>";
const SECTION_END = "<|tool_calls_section_end|>";

/** Kimi K2: `functions.look:0` names and numbers a call, and is its id. */
export const KIMI: ToolDialect = {
  isTaughtBy: (template) => template.includes(SECTION),
  openings: [SECTION],
  marks: [BEGIN, ARGUMENTS, END, SECTION_END],
  *read(incoming) {
    let hasCalled = false;
    yield* incoming.skipSpace();
    while (yield* incoming.skip(BEGIN)) {
      const head = yield* incoming.takeUntil([ARGUMENTS, END]);
      const id = head.text.trim();
      const name = /^(?:functions\.)?([\w.-]+?)(?::\d+)?$/.exec(id)?.[1];
      if (head.mark === undefined || name === undefined) return hasCalled;
      hasCalled = true;
      yield* beginCall(incoming, name, id);
      yield* incoming.skipSpace();
      if (head.mark === ARGUMENTS) yield* takeJson(incoming, { until: END, asArguments: true });
      yield { type: "call-end" };
      yield* incoming.skipSpace();
      yield* incoming.skip(END);
      yield* incoming.skipSpace();
    }
    yield* incoming.skip(SECTION_END);
    return hasCalled;
  },
  frame: () => ({
    begin: SECTION,
    end: SECTION_END,
    call: (name) => [[`${BEGIN}functions.${name}:`, /[0-9]{1,3}/, ARGUMENTS], END],
  }),
  newId: (name, index) => `functions.${name}:${index}`,
};
