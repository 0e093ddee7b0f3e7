import type { Incoming, Reading } from "../reply/incoming.js";
import { ArgumentWriter } from "./argument-writer.js";
import { beginCall, isFunctionName, type OfferedTools } from "./dialect.js";

const PARAMETER = "<parameter=";
const PARAMETER_END = "</parameter>";
const END = "</function>";

/** Reads a call such as `look>\n<parameter=at>\nit\n</parameter>\n</function>`, behind `<function=`. */
export function* readFunctionTag(incoming: Incoming, tools: OfferedTools): Reading<boolean> {
  const head = yield* incoming.takeUntil([">", "\n"]);
  if (head.mark !== ">" || !isFunctionName(head.text)) return false;
  yield* beginCall(incoming, head.text);
  const writer = new ArgumentWriter(tools, head.text);
  for (;;) {
    yield* incoming.skipSpace();
    if (!(yield* incoming.skip(PARAMETER))) break;
    const key = yield* incoming.takeUntil([">"]);
    // The end of a value is at times forgotten.
    const value = yield* incoming.takeUntil([PARAMETER_END, PARAMETER, END]);
    if (value.mark === undefined) {
      yield* writer.breakOff(key.text + value.text);
      return true;
    }
    yield* writer.addText(key.text.trim(), withoutBreaks(value.text));
    if (value.mark !== PARAMETER_END) incoming.text = value.mark + incoming.text;
  }
  const isWhole = (yield* incoming.skip(END)) || (yield* incoming.isNext("</"));
  yield* isWhole ? writer.end() : writer.breakOff("");
  return true;
}

/** One line break around a value belongs to the tags. */
function withoutBreaks(text: string): string {
  return text.replace(/^\r?\n/, "").replace(/\r?\n$/, "");
}
