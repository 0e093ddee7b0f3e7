import { parseJson } from "../../fields.js";
import type { Incoming, Reading } from "../reply/incoming.js";
import { takeJson } from "../reply/json-text.js";
import { beginCall, isFunctionName } from "./dialect.js";

const NAMES = ["name", "tool_name", "function"];
const ARGUMENTS = ["arguments", "parameters"];
const IDS = ["id", "tool_call_id"];

/** Which calls are taken for such, and where they end even if they are not whole. */
interface JsonCalls {
  until?: string;
  isCall?(name: string): boolean;
}

/** Reads one call, or a list of calls, written as JSON objects; false where there is none. */
export function* readJsonCalls(incoming: Incoming, calls: JsonCalls = {}): Reading<boolean> {
  yield* incoming.skipSpace();
  if (!(yield* incoming.skip("["))) return yield* readJsonCall(incoming, calls);
  let hasCalled = false;
  do {
    yield* incoming.skipSpace();
    if (!(yield* readJsonCall(incoming, calls))) return hasCalled;
    hasCalled = true;
    yield* incoming.skipSpace();
  } while (yield* incoming.skip(","));
  yield* incoming.skip("]");
  return true;
}

/** Reads a call such as `{"name": "look", "arguments": {"at": "it"}}`; false where it is none. */
export function* readJsonCall(incoming: Incoming, calls: JsonCalls = {}): Reading<boolean> {
  const { until, isCall = isFunctionName } = calls;
  if (!(yield* incoming.skip("{"))) return false;
  let name: string | undefined;
  let id: string | undefined;
  let hasBegun = false;
  /** Arguments that came before the name. */
  let early = "";
  for (;;) {
    const key = yield* takeKey(incoming, until);
    if (key === undefined) break;
    if (ARGUMENTS.includes(key)) {
      if (name !== undefined) {
        yield* beginCall(incoming, name, id);
        hasBegun = true;
      }
      early += yield* takeArguments(incoming, hasBegun, until);
    } else {
      const value = parseJson(yield* takeJson(incoming, { until }));
      if (NAMES.includes(key) && typeof value === "string") name ??= value;
      if (IDS.includes(key) && typeof value === "string") id ??= value;
      if (name !== undefined && !isCall(name)) return false;
    }
    yield* incoming.skipSpace();
    if (!(yield* incoming.skip(","))) break;
  }
  const isClosed = yield* incoming.skip("}");
  if (name === undefined || (!hasBegun && !isClosed)) return false;
  if (!hasBegun) {
    yield* beginCall(incoming, name, id);
    if (early !== "") yield { type: "arguments", text: early };
  }
  yield { type: "call-end" };
  return true;
}

/** The next key of an object, and its colon; undefined at the end of the object. */
function* takeKey(incoming: Incoming, until?: string): Reading<string | undefined> {
  yield* incoming.skipSpace();
  if (!incoming.text.startsWith('"')) return undefined;
  const key = parseJson(yield* takeJson(incoming, { until }));
  yield* incoming.skipSpace();
  if (typeof key !== "string" || !(yield* incoming.skip(":"))) return undefined;
  yield* incoming.skipSpace();
  return key;
}

/** Gives arguments out as they come; gives back those that cannot be yet. Some models write them as a text. */
function* takeArguments(incoming: Incoming, hasBegun: boolean, until?: string): Reading<string> {
  const isText = incoming.text.startsWith('"');
  const taken = yield* takeJson(incoming, { until, asArguments: hasBegun && !isText });
  const inner = isText ? parseJson(taken) : taken;
  const text = typeof inner === "string" ? inner : taken;
  if (!hasBegun) return text;
  if (isText) yield { type: "arguments", text };
  return "";
}
