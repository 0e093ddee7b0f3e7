import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { anything, may } from "../schemas.js";
import { stops } from "./shared-schema.js";

const PROMPT = "a text, or a list of one text";
const text = allow.text("a text that is not empty");

/** The fields of a request to continue a text that this server knows. */
export const completionsSchema = z.strictObject(
  {
    model: may(allow.text("the name of a model")),
    prompt: z.union([text, z.tuple([text])], PROMPT),
    stream: may(allow.flag()),
    stream_options: may(
      z.strictObject(
        { include_usage: may(allow.flag()), include_obfuscation: anything },
        "an object { include_usage }",
      ),
    ),
    temperature: may(allow.number(0, 2)),
    top_p: may(allow.number(1e-6, 1)),
    top_k: may(allow.whole(0)),
    min_p: may(allow.number(0, 1)),
    max_tokens: may(allow.whole(1)),
    stop: may(stops),
    seed: may(allow.whole(0)),
    presence_penalty: may(allow.number(-2, 2)),
    frequency_penalty: may(allow.number(-2, 2)),
    repetition_penalty: may(allow.number(1e-6, 1e6)),
    logit_bias: may(z.record(z.string(), z.number("a number"), "an object { token id: bias }")),
    logprobs: may(allow.whole(0, 20)),
    n: may(z.literal(1, "1")),
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
