import { ValidationError } from "../../errors.js";
import type { ImagePart, Message } from "../../types.js";
import type { LoadedModel } from "../model.js";
import type { ModelFiles } from "../model-files.js";

/** How Gemma writes images: its template marks the place, and the processor puts the rest there. */
const BEGIN = "<start_of_image>";
const SOFT = "<image_soft_token>";
const END = "<end_of_image>";
/** Unless the configuration says more. */
const TOKENS_PER_IMAGE = 256;

/** An image of a request, and where it stands there. */
export interface PlacedImage {
  part: ImagePart;
  place: string;
}

/** The images of messages, in order. */
export function imagesIn(messages: Message[]): PlacedImage[] {
  return messages.flatMap(({ content }, message) => {
    const parts = typeof content === "string" ? [] : content;
    return parts.flatMap((part, index) =>
      part.type === "image"
        ? [{ part, place: `messages[${message}].content[${index}].image` }]
        : [],
    );
  });
}

/** Throws where there are images that a model cannot read. */
export function checkSight({ sees, folder }: ModelFiles): void {
  if (sees) return;
  throw new ValidationError(`The model in ${folder} does not read images.`, {
    code: "unsupported",
    provider: "mlx",
    hint: 'Use a model that sees: "llm-client models show" tells whether one has vision.',
  });
}

/** A prompt with a place for the tokens of each of so many images. */
export function placeImages(text: string, count: number, { config }: ModelFiles): string {
  const marked = text.split(BEGIN);
  if (marked.length !== count + 1) {
    throw misplaced(`places for ${marked.length - 1} images, but there are ${count}`);
  }
  const size = config.mm_tokens_per_image ?? TOKENS_PER_IMAGE;
  return marked.join(`\n\n${BEGIN}${SOFT.repeat(Number(size))}${END}\n\n`);
}

/** Where the tokens of each image begin. */
export function imageStarts(
  tokens: Uint32Array,
  count: number,
  { tokenizer, native: { imageTokens } }: LoadedModel,
): number[] {
  const soft = tokenizer.tokenId(SOFT);
  const places = [...tokens.keys()].filter((place) => tokens[place] === soft);
  const starts = places.filter((_, index) => index % imageTokens === 0);
  const areWhole = starts.every(
    (start, i) => places[(i + 1) * imageTokens - 1] === start + imageTokens - 1,
  );
  if (places.length === count * imageTokens && areWhole) return starts;
  throw misplaced(`${places.length} tokens for images, but they take ${count * imageTokens}`);
}

function misplaced(what: string): ValidationError {
  return new ValidationError(`The prompt has ${what}.`, {
    hint: `Take ${BEGIN}, ${SOFT} and ${END} out of the texts: they stand for images.`,
  });
}
