import { fieldsOf, isObject, listOf, parseJson } from "../../fields.js";
import type { OfferedTools } from "./dialect.js";

const PYTHON = new Map<string, unknown>([
  ["True", true],
  ["False", false],
  ["None", null],
]);

/**
 * The value that a bare text stands for, as the schema of the parameter has it: dialects without
 * quotes write the number 42 and the text "42" alike.
 */
export function coerce(text: string, parameter: unknown): unknown {
  const types = typesOf(parameter);
  const bare = text.trim();
  const value = PYTHON.has(bare) ? PYTHON.get(bare) : parseJson(bare);
  if (value === undefined) return text;
  if (types.size === 0) return value;
  if (types.has(typeOf(value)) && (!types.has("string") || value === null)) return value;
  if (types.has("string")) return text;
  return value;
}

/** The schema of a parameter of a tool, if there is one. */
export function parameterOf(tools: OfferedTools, name: string, key: string): unknown {
  return fieldsOf(tools.get(name)?.parameters?.properties)[key];
}

/** The types that a schema allows; none where it does not say. */
function typesOf(schema: unknown): Set<string> {
  const { type, anyOf, oneOf, allOf, enum: values, const: only } = fieldsOf(schema);
  const named = (Array.isArray(type) ? type : [type]).filter((each) => typeof each === "string");
  const types = new Set<string>(named);
  if (types.has("integer")) types.add("number");
  for (const other of [anyOf, oneOf, allOf].flatMap(listOf)) {
    for (const each of typesOf(other)) types.add(each);
  }
  if (types.size > 0) return types;
  const allowed = Array.isArray(values) ? values : only === undefined ? [] : [only];
  return new Set(allowed.map(typeOf));
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return isObject(value) ? "object" : typeof value;
}
