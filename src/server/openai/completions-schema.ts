import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { anything, may } from "../schemas.js";
import { completionFields } from "./completion-fields.js";

const PROMPT = "a text, or a list of one text";
const text = allow.text("a text that is not empty");

/** The fields of a request to continue a text that this server knows. */
export const completionsSchema = z.strictObject(
  {
    ...completionFields,
    prompt: z.union([text, z.tuple([text])], PROMPT),
    logprobs: may(allow.whole(0, 20)),
    best_of: may(z.literal(1, "1")),
    echo: may(z.literal(false, "false")),
    suffix: may(z.literal("", "empty")),
    // What changes nothing here.
    user: anything,
  },
  "an object { model, prompt }",
);

/** A checked request to continue a text. */
export type CompletionsBody = z.infer<typeof completionsSchema>;
