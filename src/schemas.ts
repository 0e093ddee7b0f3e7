import { LLMError, ValidationError } from "./errors.js";
import { isObject } from "./fields.js";
import { schemaCheck, type ValueCheck } from "./reply-form.js";
import { nameField } from "./validation.js";

/** A schema of zod 4, or of any other library that speaks Standard Schema and can tell it in JSON. */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly vendor: string;
    validate(value: unknown): Checked<Output> | Promise<Checked<Output>>;
    readonly types?: { readonly output: Output } | undefined;
    readonly jsonSchema?: { input(options: { target: string }): Record<string, unknown> };
  };
}

/** What is expected of a value: a schema of zod, or a JSON Schema. */
export type Schema<Output = unknown> = StandardSchema<Output> | Record<string, unknown>;

type Checked<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] };

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A schema that is ready for use. */
export interface ReadySchema {
  json: Record<string, unknown>;
  /** The value as the schema makes it, or what is wrong with it, in one sentence. */
  check(value: unknown): Promise<{ value: unknown } | { problem: string }>;
}

/** Makes a schema ready; throws a `ValidationError` that says what of it is not supported. */
export async function readySchema(schema: Schema, where: string): Promise<ReadySchema> {
  try {
    if (!isStandard(schema)) return { json: schema, check: checkOf(await schemaCheck(schema)) };
    return { json: await toJson(schema), check: (value) => checkValue(schema, value) };
  } catch (error) {
    throw new ValidationError(`${where} cannot be used: ${(error as Error).message}`, {
      code: LLMError.is(error) ? error.code : "unsupported",
      cause: error,
      hint: "Use a schema of zod 4, or a JSON Schema.",
    });
  }
}

function isStandard(schema: Schema): schema is StandardSchema {
  return isObject(schema["~standard"]);
}

function checkOf(problemOf: ValueCheck): ReadySchema["check"] {
  return async (value) => {
    const problem = problemOf(value);
    return problem === undefined ? { value } : { problem };
  };
}

async function toJson(schema: StandardSchema): Promise<Record<string, unknown>> {
  const { jsonSchema, vendor } = schema["~standard"];
  const target = "draft-2020-12";
  if (jsonSchema) return withoutDialect(jsonSchema.input({ target }));
  if (vendor !== "zod") throw new Error(`schemas of "${vendor}" cannot be told in JSON`);
  // All of zod takes a while to load, and who has no schemas never needs it.
  const { toJSONSchema } = await import("zod/v4");
  return withoutDialect(toJSONSchema(schema as never, { io: "input", target }));
}

/** Models need not read which version of JSON Schema it is. */
function withoutDialect({ $schema: _, "~standard": _own, ...schema }: Record<string, unknown>) {
  return schema;
}

async function checkValue(
  schema: StandardSchema,
  value: unknown,
): Promise<{ value: unknown } | { problem: string }> {
  const checked = await schema["~standard"].validate(value);
  if (!checked.issues) return { value: checked.value };
  return { problem: checked.issues.map(describeIssue).join("; ") };
}

function describeIssue({ message, path = [] }: Issue): string {
  if (path.length === 0) return message;
  const keys = path.map((key) => (typeof key === "object" ? key.key : key));
  return `${nameField(keys)}: ${message}`;
}
