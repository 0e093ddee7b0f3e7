import { ValidationError } from "../../errors.js";
import { fieldsOf, listOf } from "../../fields.js";
import { jsonGrammar } from "../grammar.js";
import { type LarkWriter, nested, type Part } from "../lark.js";

/** How a dialect writes values, where it does not write JSON. */
export interface Notation {
  /** Any text, with its quotes. */
  text: Part[];
  /** This text, with its quotes. */
  quoted(text: string): string;
  words: { true: string; false: string; null: string };
  /** A key of an object, and what parts it from its value. */
  key(name: string): string;
  anyKey: Part[];
  comma: string;
}

/** Keywords of texts that are let go where texts are not written as JSON. */
const LOOSE = ["pattern", "format", "minLength", "maxLength"];
/** Those that are followed, and those that say nothing of which values fit. */
const KNOWN = new Set([
  ...LOOSE,
  ...["$ref", "type", "enum", "const", "anyOf", "oneOf", "items", "minItems", "maxItems"],
  ...["properties", "required", "additionalProperties", "minimum", "maximum"],
  ...["exclusiveMinimum", "exclusiveMaximum", "multipleOf", "$schema", "$id", "$comment", "$defs"],
  ...["definitions", "title", "description", "default", "examples", "deprecated"],
  ...["readOnly", "writeOnly"],
]);

/** What would have to hold for each of some alternatives. */
const BESIDE = ["properties", "required", "additionalProperties", "items", "minItems", "maxItems"];

/** Rules of Lark that expressions refer to. */
export class RuleList {
  readonly rules: string[] = [];
  /** Keywords that were let go. */
  readonly loose = new Set<string>();
  readonly #name: string;

  /** `name` begins the names of all. */
  constructor(name: string) {
    this.#name = name;
  }

  /** Adds a rule, and gives its name. */
  add(expression: string): string {
    const name = `${this.#name}_${this.rules.length}`;
    this.rules.push(`${name}: ${expression}`);
    return name;
  }

  /** Adds a rule that may refer to itself. */
  addRecursive(write: (name: string) => string): void {
    const place = this.rules.push("") - 1;
    const name = `${this.#name}_${place}`;
    this.rules[place] = `${name}: ${write(name)}`;
  }

  /** Notes what of the schema of a text is not enforced. */
  letGo(schema: Record<string, unknown>): void {
    for (const key of LOOSE) if (key in schema) this.loose.add(key);
  }
}

/** Members of an object in their order, of which those that need not be may be absent. */
export function membersOf(
  { properties, required }: Record<string, unknown>,
  list: RuleList,
  comma: string,
  member: (key: string, value: Record<string, unknown>) => string,
): string {
  const needed = new Set(Array.isArray(required) ? required : []);
  // From the last one on: what may follow something, and what may come first.
  let [rest, first] = ["", '""'];
  for (const [key, value] of Object.entries(fieldsOf(properties)).reverse()) {
    const written = list.add(member(key, fieldsOf(value)));
    const alone = `${written} ${rest}`;
    first = list.add(needed.has(key) ? alone : `${alone} | ${first}`);
    rest = list.add(needed.has(key) ? `${comma} ${alone}` : `(${comma} ${written})? ${rest}`);
  }
  return first;
}

/** Writes the values of a tool's schema in the notation of a dialect. */
export class ValueRules {
  readonly #notation: Notation;
  readonly #lark: LarkWriter;
  readonly #list: RuleList;
  readonly #root: Record<string, unknown>;
  readonly #references = new Map<string, string>();
  #any: string | undefined;

  /** `root` is the schema that references are within. */
  constructor(notation: Notation, lark: LarkWriter, list: RuleList, root: Record<string, unknown>) {
    this.#notation = notation;
    this.#lark = lark;
    this.#list = list;
    this.#root = root;
  }

  /** An expression for the values that fit a schema. */
  of(schema: unknown): string {
    if (schema === true || schema === undefined) return this.#anyValue();
    const fields = fieldsOf(schema);
    const { $ref, type, enum: values, const: only, anyOf, oneOf } = fields;
    checkKeywords(fields);
    if (typeof $ref === "string") return this.#referred($ref);
    if (Array.isArray(values)) return this.#alternatives(values, (each) => this.#constant(each));
    if (only !== undefined) return this.#constant(only);
    const options = [...listOf(anyOf), ...listOf(oneOf)];
    const beside = BESIDE.filter((key) => options.length > 0 && key in fields);
    if (beside.length > 0) throw unsupported(`alternatives beside "${beside[0]}"`);
    if (options.length > 0) return this.#alternatives(options, (each) => this.of(each));
    if (Array.isArray(type)) {
      return this.#alternatives(type, (each) => this.#typed(String(each), fields));
    }
    return typeof type === "string" ? this.#typed(type, fields) : this.#anyValue();
  }

  #typed(type: string, schema: Record<string, unknown>): string {
    const { words, text } = this.#notation;
    switch (type) {
      case "string":
        this.#list.letGo(schema);
        return this.#lark.literal(...text);
      case "boolean":
        return `(${this.#lark.literal(words.true)} | ${this.#lark.literal(words.false)})`;
      case "null":
        return this.#lark.literal(words.null);
      case "array":
        return this.#array(schema);
      case "object":
        return this.#object(schema);
      default:
        return this.#list.add(nested(jsonGrammar({ ...schema, type })));
    }
  }

  #array({ items, minItems, maxItems }: Record<string, unknown>): string {
    const item = this.#list.add(this.of(items));
    const least = typeof minItems === "number" ? minItems : 0;
    const most = typeof maxItems === "number" ? maxItems : Infinity;
    if (most === 0) return '"[" "]"';
    const more = `(${this.#lark.literal(this.#notation.comma)} ${item})`;
    const fewest = Math.max(0, least - 1);
    const some = `${item} ${more}${most === Infinity ? `{${fewest},}` : `{${fewest},${most - 1}}`}`;
    return least > 0 ? `"[" ${some} "]"` : `"[" (${some})? "]"`;
  }

  #object(schema: Record<string, unknown>): string {
    const { key, anyKey, comma } = this.#notation;
    const { properties, additionalProperties } = schema;
    const separator = this.#lark.literal(comma);
    if (properties !== undefined) {
      const member = (name: string, value: unknown) =>
        `${this.#lark.literal(key(name))} ${this.of(value)}`;
      return `"{" ${membersOf(schema, this.#list, separator, member)} "}"`;
    }
    if (additionalProperties === false) return '"{" "}"';
    const member = this.#list.add(
      `${this.#lark.literal(...anyKey)} ${this.of(additionalProperties)}`,
    );
    return `"{" (${member} (${separator} ${member})*)? "}"`;
  }

  #anyValue(): string {
    if (this.#any === undefined) {
      const types = ["string", "number", "boolean", "null", "array", "object"];
      this.#list.addRecursive((name) => {
        this.#any = name;
        return types.map((type) => this.#typed(type, {})).join(" | ");
      });
    }
    return this.#any!;
  }

  #constant(value: unknown): string {
    const { words, quoted } = this.#notation;
    if (typeof value === "string") return this.#lark.literal(quoted(value));
    if (value === null || typeof value === "boolean") {
      return this.#lark.literal(words[String(value) as keyof typeof words]);
    }
    if (typeof value === "number") return JSON.stringify(String(value));
    throw unsupported("a list or object as a constant");
  }

  #referred(reference: string): string {
    const known = this.#references.get(reference);
    if (known !== undefined) return known;
    const [, place, name] = /^#\/(\$defs|definitions)\/([^/~%]+)$/.exec(reference) ?? [];
    const schema = place && fieldsOf(this.#root[place])[name!];
    if (schema === undefined) throw unsupported(`"$ref" to ${reference}`);
    this.#list.addRecursive((rule) => {
      this.#references.set(reference, rule);
      return this.of(schema);
    });
    return this.#references.get(reference)!;
  }

  #alternatives(options: unknown[], write: (option: unknown) => string): string {
    return this.#list.add(options.map(write).join(" | "));
  }
}

function checkKeywords(schema: Record<string, unknown>): void {
  const unknown = Object.keys(schema).filter((key) => !KNOWN.has(key));
  if (unknown.length > 0) throw unsupported(unknown.map((key) => `"${key}"`).join(" and "));
}

function unsupported(what: string): ValidationError {
  return new ValidationError(
    `MLX cannot follow the parameters of a tool: in the calls of this model it does not know ${what}.`,
    { code: "unsupported", provider: "mlx" },
  );
}
