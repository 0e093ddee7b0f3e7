import { listOf } from "../../fields.js";
import type { Tool } from "../../types.js";
import { jsonGrammar } from "../grammar.js";
import { type LarkWriter, nested, type Part } from "../lark.js";
import { membersOf, type Notation, RuleList, ValueRules } from "./value-rules.js";

/** How a dialect writes calls, for a grammar that keeps a reply to them. */
export interface CallFrame {
  begin?: string;
  separator?: string;
  end?: string;
  /** What stands around the arguments of a call. */
  call(name: string): [before: Part[], after: string];
  /** What stands around each argument, where they are not one JSON object. */
  argument?(key: string): [before: string, after: string];
  /** What stands between those. */
  comma?: string;
  /** How their values are written; as bare texts, or else as JSON, unless told. */
  notation?: Notation;
  /** What tells bare texts from JSON, and stands before them. */
  kinds?: { text: string; json: string };
}

/** The rules of Lark for one call of these tools, or several; the first is called "calls". */
export function callRules(
  frame: CallFrame,
  tools: Tool[],
  lark: LarkWriter,
): Pick<RuleList, "rules" | "loose"> {
  const { begin = "", separator = "", end = "", call } = frame;
  const lists = tools.map((_, index) => new RuleList(`given_${index}`));
  const calls = tools.map(({ function: { name, parameters = {} } }, index) => {
    const [before, after] = call(name);
    const given = argumentsOf(frame, parameters, lark, lists[index]!);
    return `call_${index}: ${lark.literal(...before)} ${given} ${lark.literal(after)}`;
  });
  const rules = [
    `calls: /\\s{0,3}/ ${lark.literal(begin)} call (${lark.literal(separator)} call)* ${lark.literal(end)}`,
    `call: ${tools.map((_, index) => `call_${index}`).join(" | ")}`,
    ...calls,
    ...lists.flatMap((list) => list.rules),
  ];
  return { rules, loose: new Set(lists.flatMap((list) => [...list.loose])) };
}

function argumentsOf(
  { argument, comma = "", notation, kinds }: CallFrame,
  parameters: Record<string, unknown>,
  lark: LarkWriter,
  list: RuleList,
): string {
  if (!argument) return list.add(json({ type: "object", ...parameters }));
  const values = notation && new ValueRules(notation, lark, list, parameters);
  return membersOf(parameters, list, lark.literal(comma), (key, schema) => {
    const [before, after] = argument(key).map((text) => lark.literal(text));
    const value = values?.of(schema) ?? bareValue(schema, parameters, lark, list, kinds);
    return `${before} ${value} ${after}`;
  });
}

/** A text without quotes, or anything else as JSON. */
function bareValue(
  schema: Record<string, unknown>,
  { $defs }: Record<string, unknown>,
  lark: LarkWriter,
  list: RuleList,
  { text, json: value }: NonNullable<CallFrame["kinds"]> = { text: "", json: "" },
): string {
  const parts = partsOf(schema);
  if (parts.texts === "any") list.letGo(schema);
  const texts = parts.texts === "any" ? ["/([^<]|<[^\\/])*/"] : parts.texts.map(quote);
  const within = { ...parts.others, ...($defs !== undefined && { $defs }) };
  const alternatives = [
    ...texts.map((each) => `${lark.literal(text)} ${each}`),
    ...(parts.others ? [`${lark.literal(value)} ${list.add(json(within))}`] : []),
  ];
  return list.add(alternatives.join(" | "));
}

const quote = (text: string) => JSON.stringify(text);

/** Which texts fit a schema, and the schema of what else does. */
function partsOf(schema: Record<string, unknown>): {
  texts: string[] | "any";
  others?: Record<string, unknown>;
} {
  const { type, enum: values, const: only, anyOf, oneOf } = schema;
  const allowed = Array.isArray(values) ? values : only === undefined ? undefined : [only];
  if (allowed) {
    const others = allowed.filter((each) => typeof each !== "string");
    const texts = allowed.filter((each) => typeof each === "string");
    return { texts, ...(others.length > 0 && { others: { enum: others } }) };
  }
  if (type === "string") return { texts: "any" };
  if (Array.isArray(type) && type.includes("string")) {
    return { texts: "any", others: { ...schema, type: type.filter((each) => each !== "string") } };
  }
  const parts = [...listOf(anyOf), ...listOf(oneOf)].map(partsOf);
  if (parts.every(({ texts }) => texts.length === 0)) return { texts: [], others: schema };
  const others = parts.flatMap((part) => part.others ?? []);
  return {
    texts: parts.some(({ texts }) => texts === "any") ? "any" : parts.flatMap(({ texts }) => texts),
    ...(others.length > 0 && { others: { ...schema, anyOf: others, oneOf: undefined } }),
  };
}

function json(schema: Record<string, unknown>): string {
  return nested(jsonGrammar(schema));
}
