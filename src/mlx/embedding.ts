import { untilAborted } from "../abort.js";
import { ValidationError } from "../errors.js";
import type { EmbedQuestion } from "../providers/provider.js";
import type { Pooling } from "../types.js";
import type { LoadedModel } from "./model.js";
import { isEncoder } from "./model-purpose.js";
import type { SentenceFiles } from "./sentence-files.js";
import { batchesOf } from "./text-batches.js";
import { encodeTexts } from "./text-encoding.js";

/** Vectors of texts, in their order. */
export interface Vectors {
  vectors: number[][];
  tokens: number;
  warnings: string[];
}

/** How the tokens of a text become its vector. */
interface Recipe {
  poolings: Pooling[];
  normalizes: boolean;
  warnings: string[];
}

/** One vector for each text, as sentence-transformers makes it of the same files. */
export async function embedTexts(
  model: LoadedModel,
  question: EmbedQuestion,
  signal: AbortSignal,
): Promise<Vectors> {
  const { sentence } = model.files;
  const recipe = recipeOf(model, question.pooling);
  const prompt = promptOf(sentence, question);
  if (prompt.text !== "" && sentence.steps?.includesPrompt === false) {
    throw unsupported("The model leaves its prompts out of its vectors, which is not supported.");
  }
  const texts = question.texts.map((text) => withPrompt(text, prompt.text, sentence));
  const limits = { truncate: question.truncate === true, name: "texts" } as const;
  const encoded = await encodeTexts(model, texts, limits, signal);
  const vectors: number[][] = [];
  for (const { places, texts } of batchesOf(encoded.texts)) {
    signal.throwIfAborted();
    const numbers = await untilAborted(model.native.embed(texts, recipe.poolings), signal);
    const width = numbers.length / places.length;
    for (const [row, place] of places.entries()) {
      const vector = Array.from(numbers.subarray(row * width, (row + 1) * width));
      vectors[place] = recipe.normalizes ? normalized(vector) : vector;
    }
  }
  return {
    vectors,
    tokens: encoded.texts.reduce((sum, { tokens }) => sum + tokens.length, 0),
    warnings: [...recipe.warnings, ...prompt.warnings, ...encoded.warnings],
  };
}

function recipeOf({ files }: LoadedModel, pooling: Pooling | undefined): Recipe {
  const { steps } = files.sentence;
  if (steps) {
    const { poolings, normalizes } = steps;
    const differs = pooling !== undefined && (poolings.length > 1 || poolings[0] !== pooling);
    if (differs) {
      throw unsupported(
        `The model says itself how its tokens become a vector: ${poolings.join(", ")}.`,
      );
    }
    return { poolings, normalizes, warnings: [] };
  }
  if (pooling) return { poolings: [pooling], normalizes: true, warnings: [] };
  if (isEncoder(files.config)) {
    const warnings = [
      "the model does not say how its tokens become a vector: their mean was taken",
    ];
    return { poolings: ["mean"], normalizes: true, warnings };
  }
  throw new ValidationError(
    `The model in ${files.folder} does not say how its tokens become a vector.`,
    {
      code: "unsupported",
      provider: "mlx",
      hint: 'Use a model that is made for embeddings, or give its way as pooling: "lasttoken" for Qwen3 Embedding.',
    },
  );
}

/** What is put before each text, and what is to be told about it. */
function promptOf(
  { prompts, defaultPrompt }: SentenceFiles,
  { prompt, inputType }: EmbedQuestion,
): { text: string; warnings: string[] } {
  if (prompt !== undefined) return { text: prompt, warnings: [] };
  const names = { query: ["query"], document: ["document", "passage", "corpus"] };
  const wanted = inputType ? names[inputType] : [];
  // Where a model names its own, newer files have an empty one beside it.
  const own = wanted.find((name) => Object.hasOwn(prompts, name) && prompts[name] !== "");
  const name = own ?? wanted.find((name) => Object.hasOwn(prompts, name)) ?? defaultPrompt;
  if (name !== undefined) return { text: prompts[name] ?? "", warnings: [] };
  const warnings = inputType ? [`inputType changed nothing: the model has no prompts`] : [];
  return { text: "", warnings };
}

function withPrompt(text: string, prompt: string, { lowercases }: SentenceFiles): string {
  const whole = prompt + text;
  return lowercases ? whole.toLowerCase() : whole;
}

function normalized(vector: number[]): number[] {
  const length = Math.sqrt(vector.reduce((sum, number) => sum + number * number, 0));
  return length > 0 ? vector.map((number) => number / length) : vector;
}

function unsupported(message: string): ValidationError {
  return new ValidationError(message, { code: "unsupported", provider: "mlx" });
}
