import { fieldsOf } from "../../fields.js";
import type { Tool } from "../../types.js";
import { jsonGrammar } from "../grammar.js";
import { type LarkWriter, nested, type Part } from "../lark.js";

/** How a dialect writes calls, for a grammar that keeps a reply to them. */
export interface CallFrame {
  begin?: string;
  separator?: string;
  end?: string;
  /** What stands around the arguments of a call. */
  call(name: string): [before: Part[], after: string];
  /** What stands around each argument, where they are bare texts; else they are one JSON object. */
  argument?(key: string): [before: string, after: string];
}

/** The rules of Lark for one call of these tools, or several; the first is called "calls". */
export function callRules(
  { begin = "", separator = "", end = "", call, argument }: CallFrame,
  tools: Tool[],
  lark: LarkWriter,
): string[] {
  const names = tools.map((_, index) => `call_${index}`);
  const rules = tools.flatMap(({ function: { name, parameters = {} } }, index) => {
    const [before, after] = call(name);
    const given = `given_${index}`;
    const around = (key: string) => argument!(key).map((text) => lark.literal(text));
    return [
      `call_${index}: ${lark.literal(...before)} ${given} ${lark.literal(after)}`,
      ...(argument
        ? taggedArguments(given, parameters, around)
        : [`${given}: ${json({ type: "object", ...parameters })}`]),
    ];
  });
  return [
    `calls: /\\s{0,3}/ ${lark.literal(begin)} call (${lark.literal(separator)} call)* ${lark.literal(end)}`,
    `call: ${names.join(" | ")}`,
    ...rules,
  ];
}

/** Arguments in their order, each between what belongs to it; those that need not be may be absent. */
function taggedArguments(
  rule: string,
  parameters: Record<string, unknown>,
  around: (key: string) => string[],
): string[] {
  const { properties, required, $defs } = parameters;
  const needed = Array.isArray(required) ? required : [];
  const keys = Object.keys(fieldsOf(properties));
  const parts = keys.map((key, index) => {
    const [before, after] = around(key);
    const part = `${before} ${rule}_${index} ${after}`;
    return needed.includes(key) ? part : `(${part})?`;
  });
  const values = keys.map((key, index) => {
    const schema = fieldsOf(fieldsOf(properties)[key]);
    return `${rule}_${index}: ${bareValue({ ...schema, ...($defs !== undefined && { $defs }) })}`;
  });
  return [`${rule}: ${parts.join(" ") || '""'}`, ...values];
}

/** A text without quotes, or anything else as JSON. */
function bareValue(schema: Record<string, unknown>): string {
  const { type, enum: choices } = schema;
  const texts = Array.isArray(choices) ? choices.filter((each) => typeof each === "string") : [];
  if (texts.length > 0) return texts.map((text) => JSON.stringify(text)).join(" | ");
  return type === "string" ? "/([^<]|<[^\\/])*/" : json(schema);
}

function json(schema: Record<string, unknown>): string {
  return nested(jsonGrammar(schema));
}
