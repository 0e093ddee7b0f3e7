import { fieldsOf } from "../../fields.js";
import type { Tool } from "../../types.js";

/** A text, or what a regular expression matches. */
export type Part = string | RegExp;

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

/** What a grammar of calls is made of. */
export interface GrammarParts {
  frame: CallFrame;
  tools: Tool[];
  /** What may come before the calls. */
  prelude: Part[];
  /** Id of a token that stands for no text. */
  specialToken(text: string): number | undefined;
  /** Those that the dialect has. */
  marks: string[];
}

/** White space in arguments: some models would write it for ever. */
const WHITE_SPACE = { whitespace_pattern: "( |\\r?\\n[ \\t]{0,40})?" };

/** A Lark grammar of one call of these tools, or several. */
export function callGrammar({ frame, tools, prelude, ...tokens }: GrammarParts): string {
  const { begin = "", separator = "", end = "" } = frame;
  const literal = (...parts: Part[]) => literalOf(parts, tokens);
  const names = tools.map((_, index) => `call_${index}`);
  const rules = tools.flatMap(({ function: { name, parameters = {} } }, index) => {
    const [before, after] = frame.call(name);
    const given = `given_${index}`;
    const { argument } = frame;
    return [
      `call_${index}: ${literal(...before)} ${given} ${literal(after)}`,
      ...(argument
        ? taggedArguments(given, parameters, (key) => argument(key).map((text) => literal(text)))
        : [`${given}: ${json({ type: "object", ...parameters })}`]),
    ];
  });
  return [
    `start: ${prelude.length > 0 ? `(${literal(...prelude)})?` : ""} /\\s{0,3}/ ${literal(begin)} call (${literal(separator)} call)* ${literal(end)}`,
    `call: ${names.join(" | ")}`,
    ...rules,
    "",
  ].join("\n");
}

/** A text in Lark, with tokens that stand for no text by their ids. */
function literalOf(
  parts: Part[],
  { marks, specialToken }: Pick<GrammarParts, "marks" | "specialToken">,
): string {
  const special = marks.filter((mark) => specialToken(mark) !== undefined);
  const written = parts.flatMap((part) => {
    if (typeof part !== "string") return [`/${part.source.replace(/(?<!\\)\//g, "\\/")}/`];
    return splitAt(part, special).map((text) =>
      special.includes(text) ? `<[${specialToken(text)}]>` : JSON.stringify(text),
    );
  });
  return written.join(" ");
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
  return `%json ${JSON.stringify({ ...schema, "x-guidance": WHITE_SPACE })}`;
}

/** A text cut before and behind each of some marks. */
function splitAt(text: string, marks: string[]): string[] {
  if (text === "") return [];
  for (const mark of marks) {
    const at = text.indexOf(mark);
    if (at < 0) continue;
    const rest = text.slice(at + mark.length);
    return [...splitAt(text.slice(0, at), marks), mark, ...splitAt(rest, marks)];
  }
  return [text];
}
