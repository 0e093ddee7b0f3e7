import * as z from "zod";
import { ValidationError } from "./errors.js";
import { QUANTIZE, WEIGHT_TYPES } from "./quantize.js";
import { allow, check, describeProblem } from "./validation.js";

const model = allow.text("the name of a model");
const signal = z.instanceof(AbortSignal, { error: "an AbortSignal" }).optional();
const quantize = z.literal(QUANTIZE, `one of ${QUANTIZE.join(", ")}`).optional();
const texts = "a text, or a list of texts with at least one";

/** Checks what `listModels` is asked. */
export const checkListing = checker({ useCache: allow.flag().optional() });

/** Checks what `loadModel` and `unloadModel` are asked. */
export const checkModelChange = checker({ model: model.optional(), signal });

/** Checks what `showModel` and `removeModel` are asked. */
export const checkModelQuestion = checker({ model, signal });

/** Checks what `pullModel` is asked. */
export const checkPull = checker({
  model,
  file: allow.text("the name of a file").optional(),
  offline: allow.flag().optional(),
  signal,
});

/** Checks what `fitModel` is asked. */
export const checkFit = checker({
  model,
  quantize,
  context: allow.whole(1).optional(),
});

/** Checks what `convertModel` is asked. */
export const checkConversion = checker({
  model,
  folder: allow.text("the path of a new folder"),
  quantize,
  groupSize: z.literal([32, 64, 128], "32, 64 or 128").optional(),
  dequantize: allow.flag().optional(),
  dtype: z.literal(WEIGHT_TYPES, `one of ${WEIGHT_TYPES.join(", ")}`).optional(),
  signal,
});

/** Checks what `embed` is asked. */
export const checkEmbedding = checker({
  texts: z.union([z.string(), z.array(z.string()).min(1, texts)], texts),
  model: model.optional(),
  signal,
});

/** Throws a `ValidationError` that names each wrong field, its value and what is allowed. */
function checker<Shape extends z.ZodRawShape>(shape: Shape) {
  const schema = z.strictObject(shape);
  return (question: Record<string, unknown>): z.infer<typeof schema> => {
    const result = check(schema, question);
    if (!result.problems) return result.value;
    const reasons = result.problems.map(describeProblem).join("; ");
    throw new ValidationError(`The question is wrong: ${reasons}.`);
  };
}
