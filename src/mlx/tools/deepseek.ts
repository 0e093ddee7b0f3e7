import { takeJson } from "../reply/json-text.js";
import { beginCall, isFunctionName, type ToolDialect } from "./dialect.js";

const SECTION = "<｜tool▁calls▁begin｜>";
const SECTION_END = "<｜tool▁calls▁end｜>";
const BEGIN = "<｜tool▁call▁begin｜>";
const SEPARATOR = "<｜tool▁sep｜>";
const END = "<｜tool▁call▁end｜>";
const FENCE = "```";

/** DeepSeek: V3 and R1 write the kind of the call first, and fence its arguments; V3.1 does not. */
export const DEEPSEEK: ToolDialect = {
  isTaughtBy: (template) => template.includes(SECTION),
  openings: [SECTION, BEGIN],
  marks: [SECTION_END, SEPARATOR, END],
  *read(incoming, opening) {
    let hasCalled = false;
    yield* incoming.skipSpace();
    while ((opening === BEGIN && !hasCalled) || (yield* incoming.skip(BEGIN))) {
      const head = yield* incoming.takeUntil([SEPARATOR]);
      let name = head.text.trim();
      yield* incoming.skipSpace();
      const isFenced = name === "function" && !(yield* incoming.isNext("{"));
      if (isFenced) name = (yield* incoming.takeUntil(["\n"])).text.trim();
      if (head.mark === undefined || !isFunctionName(name)) return hasCalled;
      hasCalled = true;
      yield* beginCall(incoming, name);
      yield* incoming.skipSpace();
      if (isFenced && (yield* incoming.skip(`${FENCE}json`))) yield* incoming.skipSpace();
      yield* takeJson(incoming, { until: END, asArguments: true });
      yield { type: "call-end" };
      yield* incoming.skipSpace();
      if (yield* incoming.skip(FENCE)) yield* incoming.skipSpace();
      yield* incoming.skip(END);
      yield* incoming.skipSpace();
    }
    yield* incoming.skip(SECTION_END);
    return hasCalled;
  },
  frame: (template) => {
    const frame = { begin: SECTION, end: SECTION_END };
    if (!template.includes(FENCE)) {
      return { ...frame, call: (name) => [[`${BEGIN}${name}${SEPARATOR}`], END] };
    }
    const call = (name: string): [string[], string] => [
      [`${BEGIN}function${SEPARATOR}${name}\n${FENCE}json\n`],
      `\n${FENCE}${END}`,
    ];
    return { ...frame, separator: "\n", call };
  },
};
