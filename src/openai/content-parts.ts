import { type Fields, listOf, textOf } from "../fields.js";

/** A part of a content that is a list, as Mistral sends it, in the form of a delta. */
export function deltaOf({ text, thinking }: Fields): Fields {
  const thoughts = listOf(thinking).map((part) => textOf(part.text) ?? "");
  return { content: textOf(text), reasoning: textOf(thinking) ?? thoughts.join("") };
}
