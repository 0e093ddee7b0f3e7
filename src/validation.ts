import * as z from "zod/mini";

export { isTooDeep } from "./fields.js";

/** A wrong field: which one, what stands there, and what may stand there. */
export interface Problem {
  path: PropertyKey[];
  /** Absent for an unknown field. */
  allowed?: string;
  value?: unknown;
}

/** Checks a value; gives it back typed, or everything that is wrong with it. */
export function check<T>(
  schema: z.ZodMiniType<T>,
  value: unknown,
): { value: T; problems?: undefined } | { problems: Problem[] } {
  const result = schema.safeParse(value);
  if (result.success) return { value: result.data };
  return { problems: result.error.issues.flatMap((issue) => problemsOf(issue, value)) };
}

/** Says what is wrong in one sentence, for example `temperature is 3, but must be a number from 0 to 2`. */
export function describeProblem({ path, allowed, value }: Problem): string {
  const field = path.length === 0 ? "it" : nameField(path);
  if (allowed === undefined) return `${field} is not a known field`;
  if (value === undefined) return `${field} is missing, but must be ${allowed}`;
  return `${field} is ${show(value)}, but must be ${allowed}`;
}

/** As long as a timer of Node can be, about 24 days. */
const MAX_SECONDS = 2_147_483;

/** Schema parts whose messages say what is allowed. */
export const allow = {
  text: (allowed: string) => z.string(allowed).check(z.minLength(1, allowed)),
  flag: () => z.boolean("true or false"),
  object: () => z.record(z.string(), z.unknown(), "an object"),
  number: (min: number, max: number, allowed = `a number from ${min} to ${max}`) =>
    z.number(allowed).check(z.minimum(min, allowed), z.maximum(max, allowed)),
  seconds: () => {
    const allowed = "a number of seconds above 0";
    return z.number(allowed).check(z.gt(0, allowed), z.maximum(MAX_SECONDS, allowed));
  },
  whole: (min: number, max?: number) => {
    const allowed =
      max === undefined ? `a whole number, ${min} or more` : `a whole number from ${min} to ${max}`;
    return z
      .int(allowed)
      .check(z.minimum(min, allowed), z.maximum(max ?? Number.MAX_SAFE_INTEGER, allowed));
  },
};

function problemsOf(
  issue: z.core.$ZodIssue,
  parent: unknown,
  above: PropertyKey[] = [],
): Problem[] {
  // What is wrong with a key is told of the object that has it.
  const within = issue.code === "invalid_key" ? issue.path.slice(0, -1) : issue.path;
  const path = [...above, ...within];
  const value = within.reduce(valueIn, parent);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key] }));
  }
  if (issue.code === "invalid_union") {
    // Where one form fits from outside, what is wrong within it says more than "none of these".
    const fitting = issue.errors.find((errors) => errors.every(fitsOutside));
    if (fitting && fitting.length > 0) {
      return fitting.flatMap((inner) => problemsOf(inner, value, path));
    }
  }
  return [{ path, allowed: issue.message, value }];
}

function valueIn(parent: unknown, key: PropertyKey): unknown {
  return (parent as Record<PropertyKey, unknown> | undefined)?.[key];
}

function fitsOutside(issue: z.core.$ZodIssue): boolean {
  return issue.path.length > 0 || issue.code === "unrecognized_keys";
}

/** A field as it is written in code, for example `messages[0].content`. */
export function nameField(path: PropertyKey[]): string {
  const [first, ...rest] = path.map((key) => (typeof key === "number" ? `[${key}]` : String(key)));
  return rest.reduce<string>((name, key) => name + (key.startsWith("[") ? key : `.${key}`), first!);
}

function show(value: unknown): string {
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value === "function") return "a function";
  const text = asJson(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function asJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // Circular, or with a BigInt in it.
    return undefined;
  }
}
