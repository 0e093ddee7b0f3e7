import { GenerationError, LLMError, ValidationError } from "../errors.js";
import type { LoadedModel } from "./model.js";
import { loadNative } from "./native.js";
import type { NativeErrorCode, NativeGrammar, NativeGrammarType } from "./native-types.js";
import { complaintOf } from "./schema-keywords.js";
import { tokenTable } from "./token-table.js";

/** What a reply must be: a text of a JSON Schema, a regular expression, or a Lark grammar. */
export interface Grammar {
  type: NativeGrammarType;
  text: string;
}

/** Characters; a stranger's grammar must not cost as much as it likes. */
const LONGEST_TEXT = 2 ** 18;
/** What nests deeper could run over a thread's stack. */
const DEEPEST = 64;
/** What all numbers of a schema are multiples of; telling these apart takes as many states. */
const LARGEST_MULTIPLE = 20_000;
/** Grammars that are kept compiled for each table of tokens. */
const MOST_KEPT = 16;

/** A space, or a line's end and an indentation: some models would write white space for ever. */
const WHITE_SPACE = { whitespace_pattern: "( |\\r?\\n[ \\t]{0,40})?" };

/** The grammar of values that fit a JSON Schema. */
export function jsonGrammar(schema: Record<string, unknown>): Grammar {
  return { type: "json_schema", text: JSON.stringify({ ...schema, "x-guidance": WHITE_SPACE }) };
}

const compiled = new WeakMap<object, Map<string, Promise<NativeGrammar>>>();

/**
 * Compiles a grammar for a model; the last few are kept. Throws a `ValidationError` that says what
 * is wrong with it.
 * @example await compileGrammar(model, { type: "regex", text: "yes|no" })
 */
export async function compileGrammar(model: LoadedModel, grammar: Grammar): Promise<NativeGrammar> {
  checkSize(grammar);
  const { tokenizer, native, stopTokens } = model;
  const addon = loadNative();
  try {
    const table = await tokenTable(addon, { tokenizer, vocabSize: native.vocabSize, stopTokens });
    const known = compiled.get(table) ?? new Map<string, Promise<NativeGrammar>>();
    compiled.set(table, known);
    const key = `${grammar.type} ${grammar.text}`;
    const result = known.get(key) ?? addon.grammar(table, grammar.type, grammar.text);
    // The one used last stands last.
    known.delete(key);
    known.set(key, result);
    result.catch(() => known.delete(key));
    for (const oldest of [...known.keys()].slice(0, -MOST_KEPT)) known.delete(oldest);
    return await result;
  } catch (error) {
    throw grammarError(error, grammar);
  }
}

const NAMES: Record<NativeGrammarType, string> = {
  json_schema: "JSON Schema",
  regex: "regular expression",
  lark: "grammar",
};

function checkSize({ type, text }: Grammar): void {
  const name = NAMES[type];
  if (text.length > LONGEST_TEXT) {
    throw new ValidationError(
      `The ${name} has ${text.length} characters, but at most ${LONGEST_TEXT} are allowed.`,
    );
  }
  if (text.includes("\0")) throw new ValidationError(`The ${name} has a character NUL in it.`);
  // Of regular expressions llguidance bounds it by itself.
  if (type !== "regex" && depthOf(text) > DEEPEST) {
    throw new ValidationError(`The ${name} nests deeper than ${DEEPEST} brackets.`);
  }
  const multiples = [...text.matchAll(/"multipleOf"\s*:\s*([\d.]+)/g)].map(([, digits]) => digits!);
  if (multiples.map(digitsOf).reduce(leastCommonMultiple, 1) > LARGEST_MULTIPLE) {
    throw new ValidationError(
      `MLX cannot follow the ${name}: "multipleOf" of ${multiples.join(", ")} is too much work.`,
      { code: "unsupported" },
    );
  }
}

/** 0.25 is 25, as only the digits matter. */
function digitsOf(number: string): number {
  return Number(number.replace(".", "")) || 1;
}

function leastCommonMultiple(first: number, second: number): number {
  let [divisor, rest] = [first, second];
  while (rest !== 0) [divisor, rest] = [rest, divisor % rest];
  return (first / divisor) * second;
}

/** Strings, and the regular expressions of Lark. */
const LITERAL = /"(?:\\.|[^"\\])*"|\/(?:\\.|[^/\\\n])+\//g;

/** How deep brackets nest outside of literals: a bound, not a parser. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [bracket] of text.replace(LITERAL, "").matchAll(/[[\](){}]/g)) {
    depth += "([{".includes(bracket) ? 1 : -1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

function grammarError(error: unknown, { type, text }: Grammar): LLMError {
  if (LLMError.is(error)) return error;
  const { code, message } = error as { code?: NativeErrorCode; message: string };
  if (code === "grammar_missing") {
    return new ValidationError(`MLX cannot keep a reply to a ${NAMES[type]} here: ${message}.`, {
      code: "unsupported",
      hint: "Install cargo (rustup.rs) and build the addon again, or use another provider.",
    });
  }
  if (code !== "bad_grammar") {
    const what = `The ${NAMES[type]} could not be compiled: ${message}`;
    return new GenerationError(what, { code: "grammar_failed", cause: error });
  }
  // A schema may be right and still say more than can be enforced.
  const isSchema = type === "json_schema";
  const why = isSchema ? complaintOf(message, text) : message;
  return new ValidationError(`MLX cannot follow the ${NAMES[type]}: ${why}.`, {
    code: isSchema ? "unsupported" : "validation",
    hint: isSchema ? "docs/structured-output.md tells which keywords MLX enforces." : undefined,
    cause: error,
  });
}
