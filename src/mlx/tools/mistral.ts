import { takeJson } from "../reply/json-text.js";
import { beginCall, isFunctionName, type ToolDialect } from "./dialect.js";
import { readJsonCalls } from "./json-call.js";

const OPENING = "[TOOL_CALLS]";
const ID = "[CALL_ID]";
const ARGUMENTS = "[ARGS]";
const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/** `[TOOL_CALLS]look[ARGS]{"at": "it"}`, and older `[TOOL_CALLS][{"name": …}]`. */
export const MISTRAL: ToolDialect = {
  isTaughtBy: (template) => template.includes(OPENING),
  openings: [OPENING],
  marks: [ID, ARGUMENTS],
  *read(incoming) {
    yield* incoming.skipSpace();
    if (yield* incoming.isNext("[{")) return yield* readJsonCalls(incoming);
    const head = yield* incoming.takeUntil([ID, ARGUMENTS, "{"]);
    const name = head.text.trim();
    if (head.mark === undefined || !isFunctionName(name)) return false;
    const id = head.mark === ID ? yield* incoming.takeUntil([ARGUMENTS, "{"]) : undefined;
    yield* beginCall(incoming, name, id?.text.trim());
    if ((id ?? head).mark === "{") incoming.text = `{${incoming.text}`;
    yield* incoming.skipSpace();
    yield* takeJson(incoming, { until: OPENING, asArguments: true });
    yield { type: "call-end" };
    return true;
  },
  frame: (template) =>
    template.includes(ARGUMENTS)
      ? { call: (name) => [[`${OPENING}${name}${ARGUMENTS}`], ""] }
      : {
          begin: `${OPENING} [`,
          separator: ", ",
          end: "]",
          call: (name) => [[`{"name": "${name}", "arguments": `], "}"],
        },
  newId: shortId,
};

/** Its templates take ids of nine letters and digits only. */
function shortId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (byte) => LETTERS[byte % LETTERS.length]).join("");
}
