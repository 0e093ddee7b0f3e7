import * as jinja from "@huggingface/jinja";
import { withDeadline } from "../deadline.js";
import { templateGlobals } from "./template-globals.js";

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

/** Characters of template that are parsed; templates of real models have some ten thousand. */
const LARGEST_TEMPLATE = 256 * 1024;
/** The lexer's time grows with the square of a run of whitespace. */
const LONGEST_WHITESPACE = 1_000;
/** Steps that one rendering may take; a message takes one or two hundred. */
const MOST_STEPS = 4_000_000;
/** Comparisons of characters that count for one step. */
const COMPARISONS_PER_STEP = 4096;
/** What of an error's text is told; it may quote whole values. */
const LONGEST_REASON = 300;
/** Steps that one turn of a loop counts for, by the time that it takes. */
const STEPS_PER_TURN = 8;
/** Characters and items that a value may hold, beyond eight times those of the variables. */
const LARGEST_VALUE = 1_000_000;
/** What a filter may put before each line or between items: it does so before anybody can count. */
const WIDEST_INDENT = 100;
/** Far more than the steps take, in milliseconds. */
const LONGEST_TIME = 10_000;

/** Why a template failed, in a line; it may quote anything. */
export function reasonOf({ message }: Error): string {
  return message.length > LONGEST_REASON ? `${message.slice(0, LONGEST_REASON)}…` : message;
}

/** Parses a Jinja template; throws an Error that says what is wrong with it. */
export function parseTemplate(source: string): TemplateProgram {
  if (source.length > LARGEST_TEMPLATE) {
    throw new Error(`it has ${source.length} characters; at most ${LARGEST_TEMPLATE} are read`);
  }
  if (new RegExp(`\\s{${LONGEST_WHITESPACE}}`).test(source)) {
    throw new Error(`it has ${LONGEST_WHITESPACE} blanks in a row`);
  }
  return withDeadline(LONGEST_TIME, () =>
    jinja.parse(jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true })),
  );
}

/**
 * Renders a template as transformers does. Templates come with models and are not trusted: their
 * steps and the size of their values are bounded, which bounds memory, and so is their time.
 */
export function renderTemplate(
  program: TemplateProgram,
  variables: Record<string, unknown>,
): string {
  const scope: Scope = new jinja.Environment();
  for (const [name, value] of Object.entries({ ...templateGlobals(), ...variables })) {
    scope.variables.delete(name);
    scope.set(name, value);
  }
  const inputLength = JSON.stringify(variables).length;
  const interpreter = new BoundedInterpreter(scope, LARGEST_VALUE + 8 * inputLength);
  return withDeadline(LONGEST_TIME, () => String(interpreter.run(program).value));
}

/** The library's interpreter, counting its work, with what it lacks of Python's string methods. */
class BoundedInterpreter extends Interpreter {
  readonly #largestValue: number;
  /** The expressions that loops run over. */
  readonly #looped = new WeakSet<Node>();
  /** The arguments of filters that indent. */
  readonly #widths = new WeakSet<Node>();
  readonly #weights = new WeakMap<object, number>();
  #steps = 0;

  constructor(scope: Scope, largestValue: number) {
    super(scope);
    this.#largestValue = largestValue;
  }

  override evaluate(node: Node | undefined, scope: Scope): Value {
    if (node?.type === KNOWN) return node.known as Value;
    if (node?.type === "For") this.#looped.add(iterableOf(node));
    for (const argument of indentsOf(node)) this.#widths.add(argument);
    const own = this.#stripped(node, scope) ?? this.#written(node, scope);
    const result = own ?? this.#found(node, scope) ?? super.evaluate(node, scope);
    if (node && this.#widths.has(node) && widthOf(result) > WIDEST_INDENT) {
      throw new Error(`it indents by more than ${WIDEST_INDENT} characters`);
    }
    const size = sizeOf(result.value);
    this.#count(1 + (node && this.#looped.has(node) ? size * STEPS_PER_TURN : size >> 6));
    if (this.#weigh(result.value) > this.#largestValue) {
      throw new Error(`it makes a value of more than ${this.#largestValue} characters or items`);
    }
    return result;
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MOST_STEPS) throw new Error(`it takes more than ${MOST_STEPS} steps`);
  }

  /**
   * Searching a text for another may take the product of their lengths, and nothing can interrupt
   * it: so that is counted before, with what is searched already evaluated.
   */
  #found(node: Node | undefined, scope: Scope): Value | undefined {
    if (!node) return undefined;
    if (isContainment(node)) {
      const left = this.evaluate(node.left as Node, scope);
      const right = this.evaluate(node.right as Node, scope);
      this.#countSearch(right, left);
      return super.evaluate({ ...node, left: known(left), right: known(right) }, scope);
    }
    if (node.type === "MemberExpression") {
      const object = this.evaluate(node.object as Node, scope);
      return this.#counting(super.evaluate({ ...node, object: known(object) }, scope), object);
    }
    return isReplacement(node) ? this.#replaced(node, scope) : undefined;
  }

  #replaced(node: Node, scope: Scope): Value {
    const operand = this.evaluate(operandOf(node), scope);
    const filter = node.filter as Node;
    const args = (filter.args as Node[]).map((given) => this.#argument(given, scope));
    const wanted = args[0]?.known as Value | undefined;
    if (wanted) this.#countSearch(operand, wanted);
    const replacement = { operand: known(operand), filter: { ...filter, args } };
    return super.evaluate({ type: "FilterExpression", ...replacement }, scope);
  }

  #argument(given: Node, scope: Scope): Node {
    if (given.type === "KeywordArgumentExpression") return given;
    if (given.argument) throw new Error("it spreads the arguments of replace");
    return known(this.evaluate(given, scope));
  }

  /** A method of a text that first counts what it will search. */
  #counting(method: Value, object: Value): Value {
    if (method.type !== "FunctionValue" || typeof object.value !== "string") return method;
    const { value, constructor: FunctionValue } = method as Value & {
      value: (args: Value[], scope: Scope) => Value;
      constructor: new (value: unknown) => Value;
    };
    return new FunctionValue((args: Value[], scope: Scope) => {
      if (args[0]) this.#countSearch(object, args[0]);
      return value(args, scope);
    });
  }

  #countSearch({ value: text }: Value, { value: wanted }: Value): void {
    if (typeof text !== "string" || typeof wanted !== "string") return;
    this.#count(Math.floor((text.length * wanted.length) / COMPARISONS_PER_STEP));
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

/** The type of nodes whose value is known. */
const KNOWN = "Known";

function known(value: Value): Node {
  return { type: KNOWN, known: value };
}

function isContainment({ type, operator }: Node): boolean {
  if (type !== "BinaryExpression") return false;
  const { value } = operator as Node;
  return value === "in" || value === "not in";
}

/** `text | replace(a, b)`, or a block with that filter. */
function isReplacement(node: Node): boolean {
  return calledFilter(node)?.name === "replace";
}

/** The filter of an expression or a block, where it has arguments. */
function calledFilter({ type, filter }: Node): { name: unknown; args: Node[] } | undefined {
  if (type !== "FilterExpression" && type !== "FilterStatement") return undefined;
  const { type: form, callee, args } = filter as Node;
  return form === "CallExpression"
    ? { name: (callee as Node).value, args: args as Node[] }
    : undefined;
}

/** What a filter is applied to. */
function operandOf({ type, operand, body }: Node): Node {
  return type === "FilterStatement" ? { type: "Program", body } : (operand as Node);
}

function iterableOf(loop: Node): Node {
  const iterable = loop.iterable as Node;
  return iterable.type === "SelectExpression" ? (iterable.lhs as Node) : iterable;
}

/** The values that a filter is given to indent with. */
function indentsOf(node: Node | undefined): Node[] {
  const { name, args = [] } = (node && calledFilter(node)) ?? {};
  if (name !== "tojson" && name !== "indent") return [];
  return args.map((given) => {
    if (given.type === "KeywordArgumentExpression") return given.value as Node;
    return (given.argument ?? given) as Node;
  });
}

/** How much a value indents by, or the most that one within it does. */
function widthOf({ value }: Value): number {
  if (typeof value === "number") return value;
  if (!Array.isArray(value) && !(value instanceof Map)) return sizeOf(value);
  return Math.max(0, ...Array.from(value.values() as Iterable<Value>, widthOf));
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
