import type { Incoming, Reading } from "../reply/incoming.js";
import { readArgumentPairs } from "./argument-pairs.js";
import type { CallFrame } from "./call-grammar.js";
import type { OfferedTools, ToolDialect } from "./dialect.js";
import { readFunctionTag } from "./function-tag.js";
import { readJsonCalls } from "./json-call.js";

const FUNCTION = "<function=";

/** Calls between two tags: as JSON (Hermes, Qwen), as a function tag (Qwen3-Coder), or in pairs (GLM). */
function toolCallTag(open: string, close: string): ToolDialect {
  return {
    isTaughtBy: (template) => template.includes(open),
    // Qwen3-Coder forgets the outer tag at times.
    openings: [open, FUNCTION],
    marks: [close],
    frame: (template) => frameOf(template, open, close),
    *read(incoming, opening, tools) {
      const isCall =
        opening === FUNCTION
          ? yield* readFunctionTag(incoming, tools)
          : yield* readCall(incoming, close, tools);
      if (!isCall) return false;
      yield* incoming.skipSpace();
      yield* incoming.skip(close);
      return true;
    },
  };
}

function* readCall(incoming: Incoming, close: string, tools: OfferedTools): Reading<boolean> {
  yield* incoming.skipSpace();
  if (/^[[{]/.test(incoming.text)) {
    const isCall = yield* readJsonCalls(incoming, { until: close });
    // Small models close one brace too many.
    while (isCall && (yield* incoming.skip("}")));
    return isCall;
  }
  if (yield* incoming.skip(FUNCTION)) return yield* readFunctionTag(incoming, tools);
  return yield* readArgumentPairs(incoming, close, tools);
}

/** What the template shows of the calls of its family. */
function frameOf(template: string, open: string, close: string): CallFrame {
  const separator = "\n";
  if (template.includes(FUNCTION)) {
    return {
      separator,
      call: (name) => [[`${open}\n${FUNCTION}${name}>\n`], `</function>\n${close}`],
      argument: (key) => [`<parameter=${key}>\n`, "\n</parameter>\n"],
    };
  }
  const [pairs, prefix = ""] = /<(\w*?)arg_key>/.exec(template) ?? [];
  if (pairs !== undefined) {
    return {
      separator,
      call: (name) => [[`${open}${name}\n`], close],
      argument: (key) => [
        `<${prefix}arg_key>${key}</${prefix}arg_key>\n<${prefix}arg_value>`,
        `</${prefix}arg_value>\n`,
      ],
    };
  }
  if (template.includes("```json")) {
    return { separator, call: (name) => [[`${open}${name}\n\`\`\`json\n`], `\n\`\`\`\n${close}`] };
  }
  return {
    separator,
    call: (name) => [[`${open}\n{"name": "${name}", "arguments": `], `}\n${close}`],
  };
}

/** The dialects of tags, most of which differ in nothing but the tag. */
export const TOOL_CALL_TAGS = [
  toolCallTag("<seed:tool_call>", "</seed:tool_call>"),
  toolCallTag("<longcat_tool_call>", "</longcat_tool_call>"),
  toolCallTag("<tool_call>", "</tool_call>"),
];
