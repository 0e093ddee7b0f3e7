import { untilAborted } from "../abort.js";
import { ValidationError } from "../errors.js";
import type { RerankQuestion } from "../providers/provider.js";
import { isObject } from "./json-file.js";
import type { LoadedModel } from "./model.js";
import { isEncoder } from "./model-purpose.js";
import { batchesOf, type TextBatch } from "./text-batches.js";
import { type Encoded, encodeBetween, encodePairs } from "./text-encoding.js";

/** Scores of documents, in their order. */
export interface Scores {
  scores: number[];
  tokens: number;
  warnings: string[];
}

/** What Qwen3 Reranker is told around each document, as its authors do. */
const TASK = `Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".`;
const BEGIN = `<|im_start|>system\n${TASK}<|im_end|>\n<|im_start|>user\n`;
const END = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
const INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query";

/** Judges how well each document answers the query. */
export async function scoreDocuments(
  model: LoadedModel,
  question: RerankQuestion,
  signal: AbortSignal,
): Promise<Scores> {
  const { purpose, config } = model.files;
  if (purpose !== "reranking") throw cannotRank(model, "it is not made for that");
  return isEncoder(config) ? classify(model, question, signal) : ask(model, question, signal);
}

/** By a classifier that reads both texts together. */
async function classify(
  model: LoadedModel,
  { query, documents, truncate, instruction }: RerankQuestion,
  signal: AbortSignal,
): Promise<Scores> {
  if (instruction !== undefined) throw cannotRank(model, "it takes no instruction");
  if (model.native.labels !== 1) throw cannotRank(model, `it tells ${model.native.labels} labels`);
  const activate = activationOf(model);
  const limits = { truncate: truncate === true, name: "documents" } as const;
  const encoded = await encodePairs(model, query, documents, limits, signal);
  return scores(encoded, signal, async ({ texts }) =>
    Array.from(await model.native.classify(texts), activate),
  );
}

/** By what a model that generates would answer: yes or no. */
async function ask(
  model: LoadedModel,
  { query, documents, truncate, instruction = INSTRUCTION }: RerankQuestion,
  signal: AbortSignal,
): Promise<Scores> {
  const answers = Uint32Array.of(...answersOf(model));
  const texts = documents.map(
    (document) => `<Instruct>: ${instruction}\n<Query>: ${query}\n<Document>: ${document}`,
  );
  const limits = { truncate: truncate === true, name: "documents" } as const;
  const encoded = await encodeBetween(model, [BEGIN, END], texts, limits, signal);
  return scores(encoded, signal, async ({ texts, places }) => {
    const logits = await model.native.nextLogits(texts, answers);
    return places.map((_, row) => sigmoid(logits[2 * row]! - logits[2 * row + 1]!));
  });
}

/** The tokens for yes and no. */
function answersOf(model: LoadedModel): [yes: number, no: number] {
  const { answers } = model.files.sentence;
  const yes = answers?.yes ?? model.tokenizer.tokenId("yes");
  const no = answers?.no ?? model.tokenizer.tokenId("no");
  if (yes !== undefined && no !== undefined) return [yes, no];
  throw cannotRank(model, "it has no tokens for yes and no");
}

/** What sentence-transformers makes of a classifier's one number. */
function activationOf(model: LoadedModel): (score: number) => number {
  const { config, sentence } = model.files;
  const own = isObject(config.sentence_transformers) ? config.sentence_transformers : {};
  const name =
    sentence.activation ?? own.activation_fn ?? config.sbert_ce_default_activation_function;
  const kind = name === undefined || name === null ? "Sigmoid" : String(name).split(".").at(-1)!;
  if (kind === "Sigmoid") return sigmoid;
  if (kind === "Identity") return (score) => score;
  throw cannotRank(model, `its scores go through "${name}", which is not known`);
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function cannotRank({ files }: LoadedModel, why: string): ValidationError {
  return new ValidationError(`The model in ${files.folder} cannot rerank so: ${why}.`, {
    code: "unsupported",
    provider: "mlx",
    hint: "Use a reranker, such as BAAI/bge-reranker-v2-m3 or Qwen/Qwen3-Reranker-0.6B.",
  });
}

/** Asks about one batch after the other. */
async function scores(
  { texts, warnings }: Encoded,
  signal: AbortSignal,
  judge: (batch: TextBatch) => Promise<number[]>,
): Promise<Scores> {
  const scores: number[] = [];
  for (const batch of batchesOf(texts)) {
    signal.throwIfAborted();
    const judged = await untilAborted(judge(batch), signal);
    for (const [row, place] of batch.places.entries()) scores[place] = judged[row]!;
  }
  return { scores, tokens: texts.reduce((sum, { tokens }) => sum + tokens.length, 0), warnings };
}
