import { ModelNotFoundError } from "../errors.js";
import { shown } from "../http/server-text.js";
import { detailsOf, type Where } from "../http/where.js";
import { type Fields, textOf } from "../fields.js";

/** Whose model it is: the namespace in its name, which is "library" for Ollama's own. */
export function namespaceOf(name: string): string {
  return name.split("/").at(-2) ?? "library";
}

/**
 * True if two names stand for one model: the registry, the namespace "library" and the tag "latest"
 * go without saying, case does not matter, and the cloud calls "x-cloud" and "x:cloud" just "x".
 */
export function isSameModel(one: string, other: string): boolean {
  return one === other || canonicalName(one) === canonicalName(other);
}

/** The model that a reply names, which must be the one that was asked for. */
export function servedModel(reply: Fields, asked: string, where: Where): string {
  const served = textOf(reply.model) ?? asked;
  if (isSameModel(served, asked)) return served;
  const answering = shown(served, where.secret);
  throw new ModelNotFoundError(`Ollama was asked for "${asked}", but "${answering}" answered.`, {
    ...detailsOf(where),
    code: "model_mismatch",
    model: asked,
    hint: "See whether something at this address sends requests to other models.",
  });
}

function canonicalName(name: string): string {
  return name
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/^registry\.ollama\.ai\//, "")
    .replace(/^library\//, "")
    .replace(/:latest$|[:-]cloud$/, "");
}
