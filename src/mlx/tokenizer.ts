import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { ModelLoadError } from "../errors.js";
import { TookTooLong, withDeadline } from "../deadline.js";
import { Detokenizer } from "./detokenizer.js";
import type { Json } from "./json-file.js";
import { placeOf, readModelJson } from "./model-texts.js";
import { cleanUpSteps, type TextStep } from "./text-steps.js";
import { compileDecoder, type TokenDecoder } from "./token-decoder.js";
import { SharedByFiles } from "./shared-by-files.js";
import {
  badTokenizer,
  namedSpecialTokens,
  readTokenizerConfig,
  TOKENIZER_CONFIG_FILES,
} from "./tokenizer-files.js";
import { prepareTokenizer, type TokenizerJson } from "./tokenizer-json.js";

/** Turns text into the tokens of one model, and back. */
export interface Tokenizer {
  /** The token that begins a text, if the model has one. */
  readonly bosToken?: string;
  /** The token that ends a text or a turn, by the tokenizer's own configuration. */
  readonly eosToken?: string;
  readonly eosTokenId?: number;
  /** Tokens that a text may have, where its configuration says so. */
  readonly mostTokens?: number;
  /**
   * Tokens of a text. Special tokens around it, such as BOS, are added as the checkpoint says,
   * unless told otherwise or the text already begins with BOS.
   */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** Tokens of two texts that are read together, as the checkpoint joins them, and the part of each. */
  encodePair(first: string, second: string): { tokens: number[]; segments: number[] };
  /** Text of tokens. Special tokens are shown unless `skipSpecialTokens` is set. */
  decode(tokens: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** Id of a token by its exact name in the vocabulary. */
  tokenId(token: string): number | undefined;
  /** Bytes that a token adds to a text; undefined for ids that are no token. */
  tokenBytes(id: number, first?: boolean): Uint8Array | undefined;
  /** The same for the ids below a number, in their order, with nothing for ids that are no token. */
  allTokenBytes(count: number): Iterable<Uint8Array>;
  /** True for tokens that stand for no text, such as the end of a turn. */
  isSpecial(id: number): boolean;
  /** Whether every token of another one has the same id, and there are no more. */
  hasSameTokens(other: Tokenizer): boolean;
  /** The id of each token by its name. */
  vocabulary(): ReadonlyMap<string, number>;
  /** Fresh state of the changes that a decoded text as a whole undergoes. */
  textSteps(): TextStep[];
}

/** Many times what honest files need, in milliseconds: to encode a text, and for each character. */
const LONGEST_TIME = 5000;
const LONGEST_TIME_PER_CHARACTER = 0.02;

/** One of a large vocabulary takes half a second to make. */
const shared = new SharedByFiles<Tokenizer>();

/**
 * Loads the tokenizer of a model's folder: tokenizer.json, and tokenizer_config.json and
 * special_tokens_map.json where they exist; or that of a GGUF file. Whoever loads the same at the
 * same time shares it. `reading` is what `readTokenizerConfig` reads, where that is under way.
 *
 * @example
 * const tokenizer = await loadTokenizer("/models/tiny");
 * tokenizer.decode(tokenizer.encode("Hello")); // "Hello"
 */
export async function loadTokenizer(folder: string, reading?: Promise<Json>): Promise<Tokenizer> {
  const files = ["tokenizer.json", ...TOKENIZER_CONFIG_FILES].map((name) => placeOf(folder, name));
  return shared.get([...new Set(files)], () => makeTokenizer(folder, reading));
}

async function makeTokenizer(folder: string, reading?: Promise<Json>): Promise<Tokenizer> {
  const file = placeOf(folder, "tokenizer.json");
  const json = await readModelJson(folder, "tokenizer.json", "bad_tokenizer");
  if (!json) {
    throw new ModelLoadError(`${folder} has no tokenizer.json.`, {
      code: "bad_tokenizer",
      hint: "Download the model again; a model with only tokenizer.model must be converted first.",
    });
  }
  const config = await (reading ?? readTokenizerConfig(folder));
  try {
    const prepared = prepareTokenizer(json, config);
    return new CheckpointTokenizer(file, prepared, compileDecoder(json.decoder), config);
  } catch (error) {
    throw badTokenizer(file, `cannot be used: ${(error as Error).message}`, error);
  }
}

/** What is used of the library, whose own types NodeNext cannot resolve. */
interface Encoder {
  encode(
    text: string,
    options: {
      add_special_tokens: boolean;
      text_pair?: string;
      return_token_type_ids?: boolean;
    },
  ): { ids: (number | null | undefined)[]; token_type_ids?: number[] };
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): Map<string, number>;
  model: {
    tokens_to_ids: Map<string, number>;
    encode(words: string[]): string[];
    tokenize(word: string): string[];
  };
}

class CheckpointTokenizer implements Tokenizer {
  readonly bosToken?: string;
  readonly eosToken?: string;
  readonly eosTokenId?: number;
  readonly #file: string;
  readonly mostTokens?: number;
  readonly #encoder: Encoder;
  readonly #decoder: TokenDecoder;
  readonly #special: ReadonlySet<number>;
  readonly #cleansUp: boolean;
  readonly #bytes: Uint8Array[] = [];
  readonly #sameTokens = new WeakSet<Tokenizer>();

  constructor(file: string, json: TokenizerJson, decoder: TokenDecoder, config: Json) {
    this.#file = file;
    this.#encoder = createEncoder(json);
    this.#decoder = decoder;
    const special = json.added_tokens.filter((token) => token.special);
    this.#special = new Set(special.map((token) => token.id));
    // As transformers, which never does it to BPE: there it would remove spaces that were meant.
    this.#cleansUp = config.clean_up_tokenization_spaces === true && json.model.type !== "BPE";
    const { bos_token, eos_token } = namedSpecialTokens(config);
    this.bosToken = bos_token;
    this.eosToken = eos_token;
    this.eosTokenId = eos_token === undefined ? undefined : this.tokenId(eos_token);
    // Where nobody bounded them, Python writes a number beyond all texts.
    const most = Number(config.model_max_length);
    this.mostTokens = Number.isSafeInteger(most) && most > 0 ? most : undefined;
  }

  encode(text: string, { addSpecialTokens = true } = {}): number[] {
    if (text === "" && !addSpecialTokens) return [];
    const beginsWithBos = this.bosToken !== undefined && text.startsWith(this.bosToken);
    const options = { add_special_tokens: addSpecialTokens && !beginsWithBos };
    const { ids } = this.#inTime(text, () => this.#encoder.encode(text, options));
    // Characters that an incomplete vocabulary cannot express have no id.
    return ids.filter((id) => id !== undefined && id !== null);
  }

  /** The expressions of a file may backtrack without end. */
  #inTime<T>(text: string, work: () => T): T {
    try {
      return withDeadline(LONGEST_TIME + text.length * LONGEST_TIME_PER_CHARACTER, work);
    } catch (error) {
      if (!(error instanceof TookTooLong)) throw error;
      const what = `cannot encode ${text.length} characters: ${error.message}`;
      throw badTokenizer(this.#file, what, error);
    }
  }

  encodePair(first: string, second: string): { tokens: number[]; segments: number[] } {
    const options = { text_pair: second, add_special_tokens: true, return_token_type_ids: true };
    const { ids, token_type_ids: types = [] } = this.#inTime(first + second, () =>
      this.#encoder.encode(first, options),
    );
    const known = ids.flatMap((id, place) => (typeof id === "number" ? [place] : []));
    return {
      tokens: known.map((place) => ids[place]!),
      segments: known.map((place) => types[place] ?? 0),
    };
  }

  decode(tokens: ArrayLike<number>, { skipSpecialTokens = false } = {}): string {
    const detokenizer = new Detokenizer(this, { skipSpecialTokens });
    return detokenizer.add(tokens) + detokenizer.flush();
  }

  tokenId(token: string): number | undefined {
    return this.#encoder.token_to_id(token);
  }

  tokenBytes(id: number, first = false): Uint8Array | undefined {
    const known = first ? undefined : this.#bytes[id];
    if (known) return known;
    const bytes = this.#bytesOf(id, first);
    if (bytes && !first) this.#bytes[id] = bytes;
    return bytes;
  }

  *allTokenBytes(count: number): Iterable<Uint8Array> {
    for (let id = 0; id < count; id++) yield this.#bytesOf(id, false) ?? new Uint8Array();
  }

  #bytesOf(id: number, first: boolean): Uint8Array | undefined {
    const token = this.#encoder.id_to_token(id);
    return token === undefined ? undefined : this.#decoder.bytes(token, first);
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  vocabulary(): ReadonlyMap<string, number> {
    return this.#encoder.get_vocab();
  }

  hasSameTokens(other: Tokenizer): boolean {
    if (other === this || this.#sameTokens.has(other)) return true;
    const [own, others] = [this.vocabulary(), other.vocabulary()];
    if (own.size !== others.size) return false;
    for (const [token, id] of own) if (others.get(token) !== id) return false;
    this.#sameTokens.add(other);
    return true;
  }

  textSteps(): TextStep[] {
    return this.#cleansUp
      ? [...this.#decoder.textSteps(), ...cleanUpSteps()]
      : this.#decoder.textSteps();
  }
}

function createEncoder(json: TokenizerJson): Encoder {
  const encoder: Encoder = new LibraryTokenizer(json, {});
  if (json.model.type === "Unigram") extendUnigram(encoder.model, json.model);
  return encoder;
}

/** The library's Unigram has no byte fallback, and fails on words of some hundred thousand tokens. */
function extendUnigram(model: Encoder["model"], { byte_fallback }: Json): void {
  const isKnown = (token: string): boolean => model.tokens_to_ids.has(token);
  model.encode = (words) => {
    const tokens: string[] = [];
    for (const word of words) for (const token of model.tokenize(word)) tokens.push(token);
    return byte_fallback === true ? tokens.flatMap((token) => withBytes(token, isKnown)) : tokens;
  };
}

/** An unknown token as the tokens of its bytes, where all of these exist. */
function withBytes(token: string, isKnown: (token: string) => boolean): string[] {
  if (isKnown(token)) return [token];
  const bytes = Array.from(Buffer.from(token, "utf8"), (byte) => {
    return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  });
  return bytes.every(isKnown) ? bytes : [token];
}
