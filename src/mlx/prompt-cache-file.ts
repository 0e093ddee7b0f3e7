import type { FileHandle } from "node:fs/promises";
import { LLMError, ModelLoadError, ValidationError } from "../errors.js";
import { openRegular, readExactly } from "../regular-file.js";
import type { NativePromptCacheFile, NativePromptCacheLayer } from "./native-types.js";
import { readSafetensorsHeader, type SafetensorsHeader } from "./safetensors.js";

/** What a prompt-cache file of mlx-lm's holds. */
export interface PromptCacheFile {
  /** What each layer keeps, for the addon. */
  cache: NativePromptCacheFile;
  /** Name of the model, as the writer knew it. */
  model?: string;
  /** The text, and what tells the model from others: where this package wrote the file. */
  tokens?: number[];
  fingerprint?: string;
}

/** Keys under which this package tells more than mlx-lm does. */
export const OWN_KEYS = { tokens: "tokens", fingerprint: "fingerprint" } as const;

/** As mlx-lm's `--max-kv-size`: so many first tokens are kept. */
const ATTENTION_SINKS = 4;
const STATE_TYPES = ["F32", "F16", "BF16", "U32"];

/**
 * Reads and checks the description that a prompt-cache file of mlx-lm's gives of itself; of its
 * data only numbers of tokens are read. Throws a `ValidationError`, code `bad_prompt_cache`.
 *
 * @example
 * const { cache, model } = await readPromptCacheFile("prompt.safetensors");
 */
export async function readPromptCacheFile(file: string): Promise<PromptCacheFile> {
  let handle: FileHandle | undefined;
  try {
    const header = await readSafetensorsHeader(file);
    handle = await openRegular(file);
    return describe(file, header, await readLeaves(file, header, handle));
  } catch (error) {
    if (LLMError.is(error) && !ModelLoadError.is(error)) throw error;
    const reason = (error as Error).message.replace(`${file} `, "").replace(/\.$/, "");
    throw badFile(file, reason, error);
  } finally {
    await handle?.close();
  }
}

/** A file that is damaged, or none of mlx-lm's. */
export function badFile(file: string, reason: string, cause?: unknown): ValidationError {
  return new ValidationError(`The prompt-cache file ${file} cannot be used: it ${reason}.`, {
    code: "bad_prompt_cache",
    provider: "mlx",
    url: file,
    hint: "Write it again, with llm-client cache-prompt or mlx_lm.cache_prompt.",
    cause,
  });
}

/** What stands at a place of the tree: a number, nothing, or else a tensor. */
type Leaf = number | "none";

/** The numbers and gaps of the tree, by their place. */
async function readLeaves(
  file: string,
  { metadata, tensors, dataOffset }: SafetensorsHeader,
  handle: FileHandle,
): Promise<Map<string, Leaf>> {
  const leaves = new Map<string, Leaf>();
  for (let index = 1; metadata.has(`2.${index}.0`); index++) {
    const place = metadata.get(`2.${index}.0`)!;
    const kind = metadata.get(`2.${index}.1`);
    const tensor = tensors.get(place);
    if (!tensor || leaves.has(place)) throw badFile(file, `has no value at "${place}"`);
    const { dtype, begin, end } = tensor;
    if (kind === "none" && begin === end) {
      leaves.set(place, "none");
    } else if (kind === "scalar" && dtype === "I32" && end - begin === 4) {
      leaves.set(place, (await readExactly(handle, dataOffset + begin, 4)).readInt32LE());
    } else {
      throw badFile(file, `has a value of an unknown kind at "${place}"`);
    }
  }
  return leaves;
}

function describe(
  file: string,
  { metadata, tensors }: SafetensorsHeader,
  leaves: Map<string, Leaf>,
): PromptCacheFile {
  const states = new Map([...tensors].filter(([place]) => !leaves.has(place)));
  const layers: LayerReader[] = [];
  for (let index = 0; metadata.has(`1.${index}`); index++) {
    const reader = new LayerReader(file, index, metadata.get(`1.${index}`)!, leaves, states);
    layers.push(reader);
  }
  if (layers.length === 0) throw badFile(file, "names no layers, so mlx-lm did not write it");
  const read = layers.map((layer) => layer.read());
  const [unknown] = [...states.keys(), ...leaves.keys()];
  if (unknown !== undefined) throw badFile(file, `has "${unknown}", which belongs to no layer`);
  const tokens = ownTokens(file, metadata.get(`0.${OWN_KEYS.tokens}`));
  const counted = agreed(file, "numbers of tokens", read, (layer) => layer.tokens);
  if (tokens && counted !== undefined && tokens.length !== counted) {
    throw badFile(file, `names ${tokens.length} tokens, but holds ${counted}`);
  }
  const packing = agreed(file, "bits", read, (layer) => layer.packing);
  const [kvGroupSize, kvBits] = packing?.split(":").map(Number) ?? [];
  return {
    model: metadata.get("0.model"),
    tokens,
    fingerprint: metadata.get(`0.${OWN_KEYS.fingerprint}`),
    cache: {
      file,
      // Layers with states alone count no tokens.
      tokens: counted ?? tokens?.length ?? 0,
      kvGroupSize,
      kvBits,
      maxKvSize: agreed(file, "limits", read, ({ cache: { keep, window } }) =>
        keep === ATTENTION_SINKS ? window : undefined,
      ),
      layers: read.map(({ cache }) => cache),
    },
  };
}

/** What all layers say that say anything. */
function agreed<Value extends number | string>(
  file: string,
  what: string,
  layers: LayerContent[],
  choose: (layer: LayerContent) => Value | undefined,
): Value | undefined {
  const told = new Set(layers.map(choose).filter((value) => value !== undefined));
  if (told.size > 1) throw badFile(file, `has layers of different ${what}`);
  return [...told][0];
}

function ownTokens(file: string, text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}(?:,\d{1,9})*$/.test(text))
    throw badFile(file, "has a list of tokens that is none");
  return text.split(",").map(Number);
}

interface LayerContent {
  cache: NativePromptCacheLayer;
  tokens?: number;
  /** Group size and bits. */
  packing?: string;
}

/** Takes what belongs to a layer out of the tree. */
class LayerReader {
  readonly #file: string;
  readonly #index: number;
  readonly #kind: string;
  readonly #leaves: Map<string, Leaf>;
  readonly #tensors: Map<string, { dtype: string; shape: number[] }>;

  constructor(
    file: string,
    index: number,
    kind: string,
    leaves: Map<string, Leaf>,
    tensors: Map<string, { dtype: string; shape: number[] }>,
  ) {
    this.#file = file;
    this.#index = index;
    this.#kind = kind;
    this.#leaves = leaves;
    this.#tensors = tensors;
  }

  read(): LayerContent {
    const kind = this.#kind;
    if (kind === "ArraysCache") return { cache: { kind, states: this.#states() } };
    if (kind === "KVCache") return this.#tokens((offset) => ({ order: [0, offset] }));
    if (kind === "QuantizedKVCache") return this.#quantized();
    if (kind === "RotatingKVCache") return this.#tokens((offset) => this.#ring(offset));
    if (kind === "ChunkedKVCache") return this.#tokens((offset) => this.#chunk(offset));
    throw this.#refusal(`is a ${kind}, which no model here has`);
  }

  #quantized(): LayerContent {
    const content = this.#tokens((offset) => ({ order: [0, offset] }), 3);
    return { ...content, packing: `${this.#count(3)}:${this.#count(4)}` };
  }

  /** The oldest token of a ring is behind the newest. */
  #ring(offset: number): Partial<NativePromptCacheLayer> {
    const length = this.#length(0);
    const [keep, window, next] = [this.#count(3), this.#count(4), this.#count(5)];
    if (keep > next || next > length || window < 1) throw this.#refusal("is a broken ring");
    if (next === length) return { keep, window, order: [0, length] };
    const wrapped = [0, keep, next, length, keep, next];
    return { keep, window, order: next < offset ? wrapped : [0, next] };
  }

  #chunk(offset: number): Partial<NativePromptCacheLayer> {
    const [window, start] = [this.#count(3), this.#count(4)];
    if (start > offset) throw this.#refusal("begins behind its end");
    return { window, order: [0, offset - start] };
  }

  #tokens(describe: (offset: number) => Partial<NativePromptCacheLayer>, parts = 1): LayerContent {
    const offset = this.#count(2);
    const cache = { kind: this.#kind, ...describe(offset) };
    if (offset === 0) {
      for (const place of [0, 1]) this.#none(String(place));
      return { cache: { ...cache, order: [] } };
    }
    const keys = this.#kept(0, parts);
    const values = this.#kept(1, parts);
    return { cache: { ...cache, keys, values }, tokens: offset };
  }

  #kept(place: number, parts: number): string[] {
    if (parts === 1) return [this.#take(String(place))];
    return Array.from({ length: parts }, (_, part) => this.#take(`${place}.${part}`));
  }

  #states(): string[] {
    const states: string[] = [];
    for (let slot = 0; ; slot++) {
      const place = `${this.#index}.0.${slot}`;
      if (this.#leaves.get(place) === "none") {
        this.#leaves.delete(place);
        states.push("");
      } else if (this.#tensors.has(place)) states.push(this.#take(`0.${slot}`));
      else break;
    }
    // Only a batch has rows that are padded.
    for (const place of [1, 2]) this.#none(String(place));
    return states;
  }

  #take(place: string): string {
    const name = `${this.#index}.${place}`;
    const tensor = this.#tensors.get(name);
    if (!tensor) throw this.#refusal(`lacks the tensor "${name}"`);
    if (!STATE_TYPES.includes(tensor.dtype)) {
      throw this.#refusal(`has a tensor "${name}" of type ${tensor.dtype}`);
    }
    this.#tensors.delete(name);
    return name;
  }

  #length(place: number): number {
    return this.#tensors.get(`${this.#index}.${place}`)?.shape[2] ?? 0;
  }

  #count(place: number): number {
    const name = `${this.#index}.${place}`;
    const value = this.#leaves.get(name);
    if (typeof value !== "number" || value < 0) {
      throw this.#refusal(`has no number of tokens at "${name}"`);
    }
    this.#leaves.delete(name);
    return value;
  }

  #none(place: string): void {
    const name = `${this.#index}.${place}`;
    if (this.#leaves.get(name) !== "none") throw this.#refusal(`has something at "${name}"`);
    this.#leaves.delete(name);
  }

  #refusal(reason: string): ValidationError {
    return badFile(this.#file, `has a layer ${this.#index} that ${reason}`);
  }
}
