import { isObject, type Json } from "./json-file.js";
import type { SentenceFiles } from "./sentence-files.js";

/** What a model is made for. */
export type Purpose = "generating" | "embedding" | "reranking";

/** Kinds of models that only read. */
const ENCODERS = new Set(["bert", "modernbert", "roberta", "xlm-roberta"]);

/**
 * What a model is for. A reranker that was made of a model that generates is told by its name alone
 * where the files of sentence-transformers say nothing.
 */
export function purposeOf(id: string, config: Json, { steps, answers }: SentenceFiles): Purpose {
  if (answers) return "reranking";
  if (isEncoder(config)) return isClassifier(config) ? "reranking" : "embedding";
  if (steps) return "embedding";
  return /rerank/i.test(id) ? "reranking" : "generating";
}

/** Whether a model reads only, every token looking both ways. */
export function isEncoder(config: Json): boolean {
  if (ENCODERS.has(String(config.model_type))) return true;
  return config.model_type === "gemma3_text" && config.use_bidirectional_attention === true;
}

function isClassifier({ architectures }: Json): boolean {
  return [architectures].flat().some((name) => /ForSequenceClassification$/.test(String(name)));
}

/** Labels of a classifier, as transformers counts them. */
export function labelsOf({ id2label, num_labels }: Json): number {
  if (isObject(id2label)) return Object.keys(id2label).length;
  return typeof num_labels === "number" ? num_labels : 2;
}
