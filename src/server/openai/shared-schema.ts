import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { may } from "../schemas.js";

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
