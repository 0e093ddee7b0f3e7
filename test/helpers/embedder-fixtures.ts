import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EmbedOptions, RerankOptions } from "../../src/index.js";
import { floatsFromBase64, readJson } from "./model-fixtures.js";

/** The folder that scripts/make-embedding-fixtures.py writes to, a folder for each model. */
export const embeddersFolder = fileURLToPath(new URL("../fixtures/embedders", import.meta.url));

/** The model of a fixture. */
export function embedderFolder(name: string): string {
  return join(embeddersFolder, name);
}

/** Texts, and the vectors that sentence-transformers makes of them. */
export interface EmbeddingCase {
  texts: string[];
  options: EmbedOptions;
  vectors: number[][];
}

/** Documents, and the scores that the Python reference gives them. */
export interface RerankingCase {
  query: string;
  documents: string[];
  options: RerankOptions;
  scores: number[];
}

interface Golden {
  cases: (RerankingCase | (Omit<EmbeddingCase, "vectors"> & { vectors: string }))[];
}

/** Names of the fixtures that embed, or of those that rerank. */
export function embedderNames(purpose: "embedding" | "reranking"): string[] {
  return readdirSync(embeddersFolder).filter(
    (name) => name.endsWith("reranker") === (purpose === "reranking"),
  );
}

/** What the model of a fixture is to give. */
export function embeddingCases(name: string): EmbeddingCase[] {
  const { cases } = readJson<Golden>(embedderFolder(name), "golden.json");
  return cases.map((one) => {
    if (!("vectors" in one)) throw new Error(`${name} does not embed`);
    const numbers = Array.from(floatsFromBase64(one.vectors));
    const width = numbers.length / one.texts.length;
    const vectors = one.texts.map((_, row) => numbers.slice(row * width, (row + 1) * width));
    return { ...one, vectors };
  });
}

/** The same of a model that reranks. */
export function rerankingCases(name: string): RerankingCase[] {
  const { cases } = readJson<Golden>(embedderFolder(name), "golden.json");
  return cases as RerankingCase[];
}
