import type { Incoming, Reading } from "../reply/incoming.js";
import { takeJson } from "../reply/json-text.js";
import { ArgumentWriter } from "./argument-writer.js";
import { beginCall, isFunctionName, type OfferedTools } from "./dialect.js";

const FENCE = "```json";

/**
 * Reads a call such as `look<arg_key>at</arg_key><arg_value>it</arg_value></tool_call>`, behind the
 * tag that `close` belongs to. Hunyuan has the arguments as JSON between fences in their place.
 */
export function* readArgumentPairs(
  incoming: Incoming,
  close: string,
  tools: OfferedTools,
): Reading<boolean> {
  const prefix = close.startsWith("</longcat_") ? "longcat_" : "";
  const tag = (name: string) => `<${prefix}${name}>`;
  const end = (name: string) => `</${prefix}${name}>`;
  const head = yield* incoming.takeUntil([tag("arg_key"), close, FENCE]);
  const name = head.text.trim();
  if (head.mark === undefined || !isFunctionName(name)) return false;
  yield* beginCall(incoming, name);
  if (head.mark === FENCE) {
    yield* readFenced(incoming, close);
    return true;
  }
  const writer = new ArgumentWriter(tools, name);
  let hasMore = head.mark !== close;
  let isWhole = !hasMore;
  while (hasMore) {
    const key = yield* incoming.takeUntil([end("arg_key")]);
    yield* incoming.skipSpace();
    yield* incoming.skip(tag("arg_value"));
    const value = yield* incoming.takeUntil([end("arg_value")]);
    if (value.mark === undefined) {
      yield* writer.breakOff(key.text + value.text);
      return true;
    }
    yield* writer.addText(key.text.trim(), value.text);
    yield* incoming.skipSpace();
    hasMore = yield* incoming.skip(tag("arg_key"));
    isWhole = yield* incoming.isNext("</");
  }
  yield* isWhole ? writer.end() : writer.breakOff("");
  return true;
}

function* readFenced(incoming: Incoming, close: string): Reading {
  yield* incoming.skipSpace();
  yield* takeJson(incoming, { until: close, asArguments: true });
  yield { type: "call-end" };
  yield* incoming.skipSpace();
  yield* incoming.skip("```");
}
