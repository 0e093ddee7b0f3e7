import * as z from "zod/mini";
import { ValidationError } from "./errors.js";
import { QUANTIZE, WEIGHT_TYPES } from "./quantize.js";
import type { Pooling } from "./types.js";
import { allow, check, describeProblem } from "./validation.js";

const model = allow.text("the name of a model");
const signal = z.optional(z.instanceof(AbortSignal, { error: "an AbortSignal" }));
const quantize = z.optional(z.literal(QUANTIZE, `one of ${QUANTIZE.join(", ")}`));
const texts = "a text, or a list of texts with at least one";
const POOLINGS = [
  "cls",
  "lasttoken",
  "max",
  "mean",
  "mean_sqrt_len_tokens",
  "weightedmean",
] as const satisfies readonly Pooling[];

/** Checks what `listModels` is asked. */
export const checkListing = checker(() => ({ useCache: z.optional(allow.flag()) }));

/** Checks what `loadModel` and `unloadModel` are asked. */
export const checkModelChange = checker(() => ({ model: z.optional(model), signal }));

/** Checks what `showModel` and `removeModel` are asked. */
export const checkModelQuestion = checker(() => ({ model, signal }));

/** Checks what `pullModel` is asked. */
export const checkPull = checker(() => ({
  model,
  file: z.optional(allow.text("the name of a file")),
  offline: z.optional(allow.flag()),
  signal,
}));

/** Checks what `fitModel` is asked. */
export const checkFit = checker(() => ({
  model,
  quantize,
  context: z.optional(allow.whole(1)),
}));

/** Checks what `convertModel` is asked. */
export const checkConversion = checker(() => ({
  model,
  folder: allow.text("the path of a new folder"),
  quantize,
  groupSize: z.optional(z.literal([32, 64, 128], "32, 64 or 128")),
  dequantize: z.optional(allow.flag()),
  dtype: z.optional(z.literal(WEIGHT_TYPES, `one of ${WEIGHT_TYPES.join(", ")}`)),
  signal,
}));

/** Checks what `embed` is asked. */
export const checkEmbedding = checker(() => ({
  texts: z.union([z.string(), z.array(z.string()).check(z.minLength(1, texts))], texts),
  model: z.optional(model),
  inputType: z.optional(z.literal(["query", "document"], '"query" or "document"')),
  prompt: z.optional(z.string("a text")),
  dimensions: z.optional(allow.whole(1)),
  truncate: z.optional(allow.flag()),
  pooling: z.optional(z.literal(POOLINGS, `one of ${POOLINGS.join(", ")}`)),
  signal,
}));

/** Checks what `rerank` is asked. */
export const checkReranking = checker(() => ({
  query: allow.text("a text that is not empty"),
  documents: z.array(z.string("a text"), "a list of texts").check(z.minLength(1, "at least one")),
  model: z.optional(model),
  topN: z.optional(allow.whole(1)),
  instruction: z.optional(allow.text("a text that is not empty")),
  truncate: z.optional(allow.flag()),
  signal,
}));

/** Throws a `ValidationError` that names each wrong field, its value and what is allowed. */
function checker<Shape extends z.core.$ZodShape>(shapeOf: () => Shape) {
  // Made at the first question: importing the package is to take no time.
  const schema = z.lazy(() => z.strictObject(shapeOf()));
  return (question: Record<string, unknown>): z.infer<typeof schema> => {
    const result = check(schema, question);
    if (!result.problems) return result.value;
    const reasons = result.problems.map(describeProblem).join("; ");
    throw new ValidationError(`The question is wrong: ${reasons}.`);
  };
}
