import type { AnySchemaObject, ErrorObject, ValidateFunction } from "ajv";
import { GenerationError, type LLMError, ValidationError } from "./errors.js";
import { isObject } from "./fields.js";
import type { ResponseFormat } from "./types.js";

/** Says what is wrong with the content of a whole reply; nothing if it has its form. */
export type FormCheck = (content: string) => LLMError | undefined;

/** Schemas whose checks are kept. */
const MOST_KEPT = 16;

/** Patterns of a schema may be a stranger's, and try ways without end. */
const MILLISECONDS = 1000;

const checks = new Map<string, ValueCheck>();

/**
 * What a reply must pass to have a form; nothing for forms that only the provider can see to.
 * Throws a `ValidationError` for a schema that is none.
 */
export async function formCheck(format: ResponseFormat): Promise<FormCheck | undefined> {
  if (format.type === "json_object") return (content) => jsonProblem(content, objectProblem);
  if (format.type !== "json_schema") return undefined;
  const fits = await schemaCheck(format.schema);
  return (content) => jsonProblem(content, fits);
}

/** Checks a value against a schema; gives the reason if it does not fit. */
export type ValueCheck = (value: unknown) => string | undefined;

/**
 * What a value must pass to fit a JSON Schema, of draft 2020-12 unless it names draft 7.
 * @example (await schemaCheck({ type: "integer" }))("7") // "it must be integer"
 */
export async function schemaCheck(schema: Record<string, unknown>): Promise<ValueCheck> {
  const text = JSON.stringify(schema);
  const check = checks.get(text) ?? (await compile(JSON.parse(text) as AnySchemaObject));
  checks.delete(text);
  checks.set(text, check);
  for (const oldest of [...checks.keys()].slice(0, -MOST_KEPT)) checks.delete(oldest);
  return check;
}

async function compile(schema: AnySchemaObject): Promise<ValueCheck> {
  // Who asks for no schema need not load them.
  const { Ajv, Ajv2020, addFormats } = await import("./ajv.js");
  const deadline = await import("./deadline.js");
  const Checker = /draft-0[67]/.test(String(schema.$schema)) ? Ajv : Ajv2020;
  // Unknown keywords and formats mean nothing, as JSON Schema has it.
  const checker = new Checker({ strict: false, logger: false });
  addFormats(checker);
  try {
    return checkOf(checker.compile(schema), deadline);
  } catch (cause) {
    throw new ValidationError(`The JSON Schema is wrong: ${(cause as Error).message}.`, { cause });
  }
}

function checkOf(
  validate: ValidateFunction,
  { TookTooLong, withDeadline }: typeof import("./deadline.js"),
): ValueCheck {
  return (value) => {
    try {
      const isValid = withDeadline(MILLISECONDS, () => validate(value));
      return isValid ? undefined : describe(validate.errors![0]!);
    } catch (cause) {
      if (!(cause instanceof TookTooLong)) throw cause;
      throw new ValidationError(`The JSON Schema cannot be checked: ${cause.message}.`, {
        cause,
        hint: "Write its patterns so that they match in one way only.",
      });
    }
  };
}

function describe({ instancePath, message, params }: ErrorObject): string {
  const { additionalProperty, allowedValues } = params as Record<string, unknown>;
  const more = additionalProperty ?? (allowedValues && JSON.stringify(allowedValues));
  const place = instancePath === "" ? "it" : instancePath;
  return `${place} ${message}${more === undefined ? "" : ` (${String(more)})`}`;
}

function jsonProblem(content: string, fits: ValueCheck): LLMError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    return mismatch(`is no JSON: ${(cause as Error).message}`, content);
  }
  const reason = fits(value);
  return reason === undefined ? undefined : mismatch(`does not fit: ${reason}`, content);
}

function mismatch(what: string, partial: string): LLMError {
  return new GenerationError(`The reply ${what}.`, {
    code: "schema_mismatch",
    partial,
    hint: "Say in the prompt what the fields are, or use a model that follows schemas better.",
  });
}

function objectProblem(value: unknown): string | undefined {
  return isObject(value) ? undefined : "it must be object";
}
