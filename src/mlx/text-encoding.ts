import { setImmediate } from "node:timers/promises";
import { ContextLengthError, ValidationError } from "../errors.js";
import type { LoadedModel } from "./model.js";
import type { TokenText } from "./text-batches.js";

/** Texts that are encoded before others have their turn. */
const TURN = 32;
/** Characters of a text beyond which it is cut before it is encoded; no token stands for as many. */
const MOST_CHARACTERS_PER_TOKEN = 64;

/** What becomes of texts that are too long. */
export interface Limits {
  truncate: boolean;
  /** What the texts are called in messages. */
  name: "texts" | "documents";
}

/** Texts as tokens. */
export interface Encoded {
  texts: TokenText[];
  warnings: string[];
}

/** Encodes texts, in turns, each with what the checkpoint puts around it. */
export function encodeTexts(
  model: LoadedModel,
  texts: readonly string[],
  limits: Limits,
  signal: AbortSignal,
): Promise<Encoded> {
  const { tokenizer } = model;
  return encodeEach(model, texts, limits, signal, (text, most) => {
    const tokens = tokenizer.encode(text);
    if (tokens.length <= most) return { tokens };
    const bare = tokenizer.encode(text, { addSpecialTokens: false });
    const start = placeOf(bare, tokens, 0);
    const room = Math.max(0, most - (tokens.length - bare.length));
    return {
      tokens: [...tokens.slice(0, start + room), ...tokens.slice(start + bare.length)],
      cutFrom: tokens.length,
    };
  });
}

/** Encodes a text together with each of others. Of both the longer one is cut first. */
export function encodePairs(
  model: LoadedModel,
  first: string,
  others: readonly string[],
  limits: Limits,
  signal: AbortSignal,
): Promise<Encoded> {
  const { tokenizer } = model;
  const bareFirst = tokenizer.encode(first, { addSpecialTokens: false });
  return encodeEach(model, others, limits, signal, (second, most) => {
    const { tokens, segments } = tokenizer.encodePair(first, second);
    const kept = model.files.config.model_type === "bert" ? { segments } : {};
    if (tokens.length <= most) return { tokens, ...kept };
    const bareSecond = tokenizer.encode(second, { addSpecialTokens: false });
    const room = most - (tokens.length - bareFirst.length - bareSecond.length);
    const [shortFirst, shortSecond] = lengthsWithin(room, bareFirst.length, bareSecond.length);
    const startOfFirst = placeOf(bareFirst, tokens, 0);
    const startOfSecond = placeOf(bareSecond, tokens, startOfFirst + bareFirst.length);
    const stays = (_: number, place: number) =>
      !(place >= startOfFirst + shortFirst && place < startOfFirst + bareFirst.length) &&
      !(place >= startOfSecond + shortSecond && place < startOfSecond + bareSecond.length);
    return {
      tokens: tokens.filter(stays),
      ...(kept.segments && { segments: segments.filter(stays) }),
      cutFrom: tokens.length,
    };
  });
}

/** Encodes texts that stand between two others, of which nothing is cut. */
export function encodeBetween(
  model: LoadedModel,
  around: readonly [string, string],
  texts: readonly string[],
  limits: Limits,
  signal: AbortSignal,
): Promise<Encoded> {
  const bare = (text: string) => model.tokenizer.encode(text, { addSpecialTokens: false });
  const [begin, end] = around.map(bare) as [number[], number[]];
  return encodeEach(model, texts, limits, signal, (text, most) => {
    const inner = bare(text);
    const count = begin.length + inner.length + end.length;
    if (count <= most) return { tokens: [...begin, ...inner, ...end] };
    const room = Math.max(0, most - begin.length - end.length);
    return { tokens: [...begin, ...inner.slice(0, room), ...end], cutFrom: count };
  });
}

/** Tokens that a text may have; undefined where nothing tells. */
export function longestText({ files, tokenizer }: LoadedModel): number | undefined {
  const { sentence, config, contextLength } = files;
  // RoBERTa counts positions from behind the number of its padding token.
  const isRoberta = /roberta$/.test(String(config.model_type));
  const unused = isRoberta ? Number(config.pad_token_id ?? 1) + 1 : 0;
  const bounds = [
    sentence.maxTokens ?? tokenizer.mostTokens,
    contextLength && contextLength - unused,
  ].filter((bound) => bound !== undefined);
  return bounds.length === 0 ? undefined : Math.min(...bounds);
}

interface Cut extends TokenText {
  /** How many tokens it had before it was cut. */
  cutFrom?: number;
}

async function encodeEach(
  model: LoadedModel,
  texts: readonly string[],
  { truncate, name }: Limits,
  signal: AbortSignal,
  encode: (text: string, most: number) => Cut,
): Promise<Encoded> {
  const most = longestText(model) ?? Infinity;
  const encoded: TokenText[] = [];
  let cuts = 0;
  for (const [index, text] of texts.entries()) {
    if (index % TURN === 0) {
      await setImmediate();
      signal.throwIfAborted();
    }
    const { cutFrom, ...tokens } = encode(beginningOf(text, most, truncate), most);
    if (tokens.tokens.length === 0) throw new ValidationError(`${name}[${index}] has no tokens.`);
    if (cutFrom !== undefined && !truncate) throw tooLong(`${name}[${index}]`, cutFrom, most);
    if (cutFrom !== undefined) cuts += 1;
    encoded.push(tokens);
  }
  const warnings =
    cuts > 0 ? [`${cuts} of ${texts.length} ${name} were cut to ${most} tokens`] : [];
  return { texts: encoded, warnings };
}

/** What of a text can matter: encoding a book to cut it at its first page would take long. */
function beginningOf(text: string, most: number, truncate: boolean): string {
  return truncate ? text.slice(0, most * MOST_CHARACTERS_PER_TOKEN) : text;
}

/** How much two texts keep of their tokens where there is room for so many, as tokenizers does it. */
function lengthsWithin(room: number, first: number, second: number): [number, number] {
  const shorter = Math.min(first, second);
  const half = Math.floor(room / 2);
  if (shorter <= half) {
    return first <= second ? [first, room - first] : [room - second, second];
  }
  return first <= second ? [half, room - half] : [room - half, half];
}

function placeOf(part: number[], whole: number[], from: number): number {
  for (let start = from; start + part.length <= whole.length; start++) {
    if (part.every((token, index) => whole[start + index] === token)) return start;
  }
  throw new ValidationError("A text cannot be cut: its tokens change with what stands around it.");
}

function tooLong(name: string, count: number, most: number): ContextLengthError {
  return new ContextLengthError(
    `${name} has ${count} tokens, but the model reads ${most} at most.`,
    { hint: "Split the text into parts, or set truncate to let only its beginning count." },
  );
}
