import type { NativeTexts } from "./native-types.js";

/** Tokens that are read at a time, padding included: what is more would let others wait for long. */
const MOST_TOKENS = 4096;

/** A text's tokens, and where it has parts the one of each. */
export interface TokenText {
  tokens: number[];
  segments?: number[];
}

/** Texts that are read together, and the places that they have among all. */
export interface TextBatch {
  places: number[];
  texts: NativeTexts;
}

/** Puts texts of like lengths together, so that at most half is padding; the longest come first. */
export function* batchesOf(all: readonly TokenText[]): Generator<TextBatch> {
  const lengthAt = (place: number) => all[place]!.tokens.length;
  const places = [...all.keys()].sort((a, b) => lengthAt(b) - lengthAt(a));
  while (places.length > 0) {
    const longest = lengthAt(places[0]!);
    const most = Math.max(1, Math.floor(MOST_TOKENS / longest));
    const shorter = places.findIndex((place) => lengthAt(place) < longest / 2);
    const taken = places.splice(0, shorter < 0 ? most : Math.min(most, shorter));
    yield { places: taken, texts: joined(taken.map((place) => all[place]!)) };
  }
}

function joined(texts: TokenText[]): NativeTexts {
  const hasSegments = texts.some(({ segments }) => segments !== undefined);
  return {
    tokens: Uint32Array.from(texts.flatMap(({ tokens }) => tokens)),
    lengths: Uint32Array.from(texts, ({ tokens }) => tokens.length),
    ...(hasSegments && { segments: Uint32Array.from(texts.flatMap((text) => text.segments!)) }),
  };
}
