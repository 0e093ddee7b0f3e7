import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { anything, may } from "../schemas.js";

const MAX_STOPS = 16;
const STOPS = `a text, or up to ${MAX_STOPS} texts`;
const stop = allow.text("a text that is not empty");

/** Texts that end a reply. */
export const stops = z.union([stop, z.array(stop).check(z.maxLength(MAX_STOPS, STOPS))], STOPS);

export const functionName = allow.text("the name of a function");

/** What describes a JSON Schema that the reply must fit. */
export const jsonSchemaFormat = {
  name: may(allow.text("a name")),
  description: may(z.string("a string")),
  schema: allow.object(),
  strict: may(allow.flag()),
};

/** What requests for completions of both kinds say of the reply. */
export const completionFields = {
  model: may(allow.text("the name of a model")),
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
  n: may(z.literal(1, "1")),
  stop: may(stops),
  seed: may(allow.whole(0)),
  presence_penalty: may(allow.number(-2, 2)),
  frequency_penalty: may(allow.number(-2, 2)),
  repetition_penalty: may(allow.number(1e-6, 1e6)),
  logit_bias: may(z.record(z.string(), z.number("a number"), "an object { token id: bias }")),
};
