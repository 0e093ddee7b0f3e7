import type { ToolDialect } from "./dialect.js";
import { readJsonCalls } from "./json-call.js";

/** Lists of calls as JSON between two marks. */
function jsonFrame(open: string, close: string, keys = ["name", "arguments"]): ToolDialect {
  return {
    isTaughtBy: (template) => template.includes(open),
    openings: [open],
    marks: [close],
    frame: () => ({
      begin: open.endsWith("[") ? open : `${open}[`,
      separator: ", ",
      end: close.startsWith("]") ? close : `]${close}`,
      call: (name) => [[`{"${keys[0]}": "${name}", "${keys[1]}": `], "}"],
    }),
    *read(incoming) {
      if (!(yield* readJsonCalls(incoming, { until: close }))) return false;
      yield* incoming.skipSpace();
      yield* incoming.skip(close);
      return true;
    },
  };
}

/** The dialects that differ in nothing but the marks: Phi and Granite, Nemotron, Jamba, Command. */
export const JSON_FRAMES = [
  jsonFrame("<|tool_call|>", "<|/tool_call|>"),
  jsonFrame("<TOOLCALL>", "</TOOLCALL>"),
  jsonFrame("<tool_calls>[", "]</tool_calls>"),
  jsonFrame("<|START_ACTION|>", "<|END_ACTION|>", ["tool_name", "parameters"]),
];
