import { GenerationError } from "./errors.js";
import { readySchema, type ReadySchema, type Schema } from "./schemas.js";
import type { LLMRequest, LLMResponse } from "./types.js";

/** What to generate, and its schema: one of zod, or a JSON Schema. */
export interface ObjectRequest<T> extends Omit<LLMRequest, "responseFormat" | "stream"> {
  schema: Schema<T>;
}

/** A value that fits its schema, and the reply that it was read from. */
export interface ObjectResponse<T> {
  object: T;
  response: LLMResponse;
}

/**
 * Generates a value that fits a schema; `generate` gives the whole reply to a request. Throws a
 * `GenerationError`, code `schema_mismatch`, if it does not fit.
 */
export async function generateObject<T>(
  generate: (request: LLMRequest) => Promise<LLMResponse>,
  { schema, ...request }: ObjectRequest<T>,
): Promise<ObjectResponse<T>> {
  const { json, check } = await objectSchema(schema);
  const responseFormat = { type: "json_schema" as const, schema: json };
  return checkedObject(await generate({ ...request, responseFormat }), check);
}

/** The value that a whole reply has; throws unless it fits. */
export async function checkedObject<T>(
  response: LLMResponse,
  check: ReadySchema["check"],
): Promise<ObjectResponse<T>> {
  const checked = await check(readJson(response));
  if ("problem" in checked) throw mismatch(`does not fit: ${checked.problem}`, response);
  return { object: checked.value as T, response };
}

/** Makes the schema of an object ready. */
export async function objectSchema(schema: Schema): Promise<ReadySchema> {
  const { json, check } = await readySchema(schema, "The schema");
  return { json: "~standard" in schema ? narrowed(json) : json, check };
}

/**
 * A schema of a library without what other words of it say as well, and not every engine knows, and
 * without room for properties that the library would throw away.
 */
function narrowed<Value>(value: Value, isPart = false): Value {
  if (Array.isArray(value)) return value.map((item) => narrowed(item, isPart)) as Value;
  if (typeof value !== "object" || value === null) return value;
  const { type, format, properties, propertyNames } = value as Record<string, unknown>;
  const isDouble = (key: string) =>
    (key === "pattern" && type === "string" && typeof format === "string") ||
    (key === "propertyNames" && JSON.stringify(propertyNames) === '{"type":"string"}');
  const entries = Object.entries(value).filter(([key]) => !isDouble(key));
  // The parts of an intersection have each other's properties.
  const inner = entries.map(([key, item]) => [key, narrowed(item, key === "allOf")]);
  const isClosed = type === "object" && properties !== undefined && !isPart;
  return {
    ...(isClosed && { additionalProperties: false }),
    ...Object.fromEntries(inner),
  } as Value;
}

function readJson(response: LLMResponse): unknown {
  try {
    return JSON.parse(response.content);
  } catch (cause) {
    if (response.finishReason !== "length") throw mismatch("is no JSON", response, { cause });
    const hint = "Raise maxTokens, or use a model with a longer context.";
    throw mismatch("was cut before the value was whole", response, { cause, hint });
  }
}

function mismatch(
  what: string,
  { content, provider, model, requestId, attempts }: LLMResponse,
  details: { cause?: unknown; hint?: string } = {},
): GenerationError {
  const about = { partial: content, provider, model, requestId, attempts };
  return new GenerationError(`The reply ${what}.`, {
    code: "schema_mismatch",
    ...about,
    ...details,
  });
}
