import { ConfigurationError } from "../errors.js";
import { isObject } from "../fields.js";
import { nearestName } from "../nearest-name.js";
import { check, describeProblem, nameField, type Problem } from "../validation.js";
import { showAddress } from "./addresses.js";
import {
  CLIENT_FIELDS,
  CODE_FIELDS,
  type ConfigValues,
  FIELDS,
  type SourceKind,
  schemas,
} from "./schema.js";

const KNOWN = new Set<string>(FIELDS);
const FIELDS_OF: Record<SourceKind, string[]> = {
  code: FIELDS.filter((field) => field !== "apiKeyEnv"),
  file: FIELDS.filter((field) => !CODE_FIELDS.some((other) => other === field)),
};
const NOT_IN_LEGS = new Set<string>([...CLIENT_FIELDS, ...CODE_FIELDS]);
const SECRETS = new Set(["apiKey", "apiKeyEnv"]);

/**
 * Checks what one source gives, in camelCase or snake_case; throws a `ConfigurationError` that names
 * each wrong field, its value, where it comes from and what is allowed.
 */
export function checkValues(
  given: unknown,
  kind: SourceKind,
  originOf: (field: string) => string,
): ConfigValues {
  const result = check<ConfigValues>(schemas[kind], inCamelCase(given, originOf));
  if (!result.problems) return result.value;
  const reasons = result.problems.map((problem) => {
    const origin = originOf(String(problem.path[0] ?? ""));
    return problem.allowed === undefined
      ? describeUnknown(problem, kind, origin)
      : `${describeValue(problem)} (${origin})`;
  });
  const isUnknown = result.problems.some(({ allowed }) => allowed === undefined);
  const hint = isUnknown ? `Known fields are ${FIELDS_OF[kind].join(", ")}.` : undefined;
  throw wrongConfiguration(reasons.join("; "), hint);
}

/** The error of a configuration that is wrong for this reason. */
export function wrongConfiguration(reason: string, hint?: string): ConfigurationError {
  return new ConfigurationError(`The configuration is wrong: ${reason}.`, { hint });
}

function inCamelCase(given: unknown, originOf: (field: string) => string): unknown {
  if (!isObject(given)) return given;
  const result = new Map<string, unknown>();
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const name = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const field = KNOWN.has(name) ? name : key;
    if (result.has(field)) throw wrongConfiguration(`${field} is given twice (${originOf(field)})`);
    const isList = field === "fallbackConfigs" && Array.isArray(value);
    result.set(field, isList ? value.map((leg) => inCamelCase(leg, originOf)) : value);
  }
  return Object.fromEntries(result);
}

/** Never shows a key, nor anything that may have one within. */
function describeValue(problem: Problem): string {
  const { path, allowed, value } = problem;
  const field = path.at(-1);
  if (typeof value === "string" && field === "baseUrl") {
    return describeProblem({ ...problem, value: showAddress(value) });
  }
  const isHidden = SECRETS.has(String(field)) || Object(value) === value;
  if (!isHidden) return describeProblem(problem);
  return `${path.length === 0 ? "it" : nameField(path)} must be ${allowed}`;
}

function describeUnknown(problem: Problem, kind: SourceKind, origin: string): string {
  const { path } = problem;
  const field = String(path.at(-1));
  const name = nameField(path);
  if (path.length > 1 && NOT_IN_LEGS.has(field)) {
    return `${name} (${origin}) belongs beside fallbackConfigs, not into it`;
  }
  if (KNOWN.has(field)) {
    return kind === "file"
      ? `${name} (${origin}) can only be given in code`
      : `${name} (${origin}) is for files; give the key itself as apiKey`;
  }
  const near = nearestName(field, FIELDS_OF[kind]);
  const suggestion = near === undefined ? "" : `; did you mean ${near}?`;
  return `${describeProblem(problem)} (${origin}${suggestion})`;
}
