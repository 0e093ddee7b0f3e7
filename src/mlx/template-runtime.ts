import * as jinja from "@huggingface/jinja";

/** What is used of the library, whose own types NodeNext cannot resolve. */
interface Node {
  type: string;
  [part: string]: unknown;
}
interface Value {
  type: string;
  value: unknown;
}
interface Scope {
  variables: Map<string, Value>;
  set(name: string, value: unknown): void;
}
interface Interpreter {
  evaluate(node: Node | undefined, scope: Scope): Value;
  run(program: Node): Value;
}
const Interpreter: new (scope: Scope) => Interpreter = jinja.Interpreter;

/** A parsed template. */
export type TemplateProgram = Node;

/** What a template raised on purpose, with `raise_exception`. */
export class TemplateRefusal extends Error {}

/** Characters of template that are parsed; templates of real models have some ten thousand. */
const LARGEST_TEMPLATE = 256 * 1024;
/** The lexer's time grows with the square of a run of whitespace. */
const LONGEST_WHITESPACE = 1_000;
/** Steps that one rendering may take; a message takes one or two hundred. */
const MOST_STEPS = 4_000_000;
/** Steps that one turn of a loop counts for, by the time that it takes. */
const STEPS_PER_TURN = 8;
/** Characters and items that a value may hold, beyond eight times those of the variables. */
const LARGEST_VALUE = 1_000_000;
/** As Jinja's sandbox. */
const LONGEST_RANGE = 100_000;

/** Parses a Jinja template; throws an Error that says what is wrong with it. */
export function parseTemplate(source: string): TemplateProgram {
  if (source.length > LARGEST_TEMPLATE) {
    throw new Error(`it has ${source.length} characters; at most ${LARGEST_TEMPLATE} are read`);
  }
  if (new RegExp(`\\s{${LONGEST_WHITESPACE}}`).test(source)) {
    throw new Error(`it has ${LONGEST_WHITESPACE} blanks in a row`);
  }
  return jinja.parse(jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
}

/**
 * Renders a template as transformers does. Templates come with models and are not trusted: their
 * steps and the size of their values are bounded, which bounds memory and, roughly, time (to some
 * seconds). Not bounded are single steps, such as a filter over a large value.
 */
export function renderTemplate(
  program: TemplateProgram,
  variables: Record<string, unknown>,
): string {
  const scope: Scope = new jinja.Environment();
  for (const [name, value] of Object.entries({ ...globals(), ...variables })) {
    scope.variables.delete(name);
    scope.set(name, value);
  }
  const inputLength = JSON.stringify(variables).length;
  const interpreter = new BoundedInterpreter(scope, LARGEST_VALUE + 8 * inputLength);
  return String(interpreter.run(program).value);
}

/** The library's interpreter, counting its work, with what it lacks of Python's string methods. */
class BoundedInterpreter extends Interpreter {
  readonly #largestValue: number;
  /** The expressions that loops run over. */
  readonly #looped = new WeakSet<Node>();
  readonly #weights = new WeakMap<object, number>();
  #steps = 0;

  constructor(scope: Scope, largestValue: number) {
    super(scope);
    this.#largestValue = largestValue;
  }

  override evaluate(node: Node | undefined, scope: Scope): Value {
    if (node?.type === "For") this.#looped.add(iterableOf(node));
    const own = this.#stripped(node, scope) ?? this.#written(node, scope);
    const result = own ?? super.evaluate(node, scope);
    const size = sizeOf(result.value);
    this.#steps += 1 + (node && this.#looped.has(node) ? size * STEPS_PER_TURN : size >> 6);
    if (this.#steps > MOST_STEPS) throw new Error(`it takes more than ${MOST_STEPS} steps`);
    if (this.#weigh(result.value) > this.#largestValue) {
      throw new Error(`it makes a value of more than ${this.#largestValue} characters or items`);
    }
    return result;
  }

  /** Characters and items of a value as if written out: a list may hold the same list many times. */
  #weigh(value: unknown): number {
    if (!Array.isArray(value) && !(value instanceof Map)) return sizeOf(value);
    const known = this.#weights.get(value);
    if (known !== undefined) return known;
    // A new list has cost the time to make it.
    this.#steps += sizeOf(value);
    let weight = 1;
    for (const item of value.values() as Iterable<Value>) weight += 1 + this.#weigh(item.value);
    this.#weights.set(value, weight);
    return weight;
  }

  /** The library's filter "string" knows neither objects nor null, and not how Python writes others. */
  #written(node: Node | undefined, scope: Scope): Value | undefined {
    if (node?.type !== "FilterExpression") return undefined;
    const { type, value: name } = node.filter as Node;
    if (type !== "Identifier" || name !== "string") return undefined;
    const operand = this.evaluate(node.operand as Node, scope);
    if (operand.type === "UndefinedValue") return undefined;
    return super.evaluate({ type: "StringLiteral", value: pythonText(operand) }, scope);
  }

  /** The library's strip, lstrip and rstrip ignore which characters they are asked to remove. */
  #stripped(node: Node | undefined, scope: Scope): Value | undefined {
    const call = stripCall(node);
    if (!call) return undefined;
    const { value: text } = this.evaluate(call.object, scope);
    const { value: characters } = this.evaluate(call.characters, scope);
    if (typeof text !== "string" || typeof characters !== "string") return undefined;
    const value = strip(text, characters, call.method);
    return super.evaluate({ type: "StringLiteral", value }, scope);
  }
}

function iterableOf(loop: Node): Node {
  const iterable = loop.iterable as Node;
  return iterable.type === "SelectExpression" ? (iterable.lhs as Node) : iterable;
}

function sizeOf(value: unknown): number {
  if (typeof value === "string" || Array.isArray(value)) return value.length;
  return value instanceof Map ? value.size : 0;
}

interface StripCall {
  method: string;
  object: Node;
  characters: Node;
}

/** `text.strip("ab")` and its kin, with an argument. */
function stripCall(node: Node | undefined): StripCall | undefined {
  if (node?.type !== "CallExpression") return undefined;
  const callee = node.callee as Node;
  const [characters, ...more] = node.args as Node[];
  if (callee.type !== "MemberExpression" || callee.computed) return undefined;
  const method = (callee.property as Node).value;
  if (method !== "strip" && method !== "lstrip" && method !== "rstrip") return undefined;
  if (!characters || more.length > 0) return undefined;
  return { method, object: callee.object as Node, characters };
}

function strip(text: string, characters: string, method: string): string {
  const unwanted = new Set(characters);
  const points = Array.from(text);
  let start = 0;
  let end = points.length;
  if (method !== "rstrip") while (start < end && unwanted.has(points[start]!)) start++;
  if (method !== "lstrip") while (end > start && unwanted.has(points[end - 1]!)) end--;
  return points.slice(start, end).join("");
}

/** A value as Python's `str` writes it. */
function pythonText(operand: Value): string {
  return typeof operand.value === "string" ? operand.value : pythonRepr(operand);
}

function pythonRepr({ type, value }: Value): string {
  if (type === "NullValue") return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonRepr).join(", ")}]`;
  if (value instanceof Map) {
    const entries = Array.from(value as Map<string, Value>, ([key, item]) => {
      return `${quotedInPython(key)}: ${pythonRepr(item)}`;
    });
    return `{${entries.join(", ")}}`;
  }
  return typeof value === "string" ? quotedInPython(value) : String(value);
}

function quotedInPython(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return quote + escaped.replaceAll(quote, `\\${quote}`) + quote;
}

function globals(): Record<string, unknown> {
  return {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    range,
    strftime_now: (format: string) => strftime(new Date(), format),
    raise_exception: (message: string) => {
      throw new TemplateRefusal(String(message));
    },
  };
}

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= LONGEST_RANGE)) throw new Error(`it asks for a range of ${length} numbers`);
  return Array.from({ length }, (_, index) => start + index * step);
}

/** Python's strftime in English, for the directives that templates use. */
function strftime(date: Date, format: string): string {
  const english = (options: Intl.DateTimeFormatOptions): string => {
    return new Intl.DateTimeFormat("en-US", options).format(date);
  };
  const padded = (value: number, length = 2): string => String(value).padStart(length, "0");
  const hour12 = date.getHours() % 12 || 12;
  const newYear = Date.UTC(date.getFullYear(), 0, 1);
  const today = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  const directives: Record<string, () => string> = {
    Y: () => String(date.getFullYear()),
    y: () => padded(date.getFullYear() % 100),
    m: () => padded(date.getMonth() + 1),
    d: () => padded(date.getDate()),
    e: () => String(date.getDate()).padStart(2, " "),
    B: () => english({ month: "long" }),
    b: () => english({ month: "short" }),
    A: () => english({ weekday: "long" }),
    a: () => english({ weekday: "short" }),
    H: () => padded(date.getHours()),
    I: () => padded(hour12),
    M: () => padded(date.getMinutes()),
    S: () => padded(date.getSeconds()),
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    j: () => padded((today - newYear) / 86_400_000 + 1, 3),
    "%": () => "%",
  };
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, dash: string, name: string) => {
    const text = directives[name]?.() ?? whole;
    return dash && directives[name] ? text.replace(/^0+(?=.)/, "") : text;
  });
}
