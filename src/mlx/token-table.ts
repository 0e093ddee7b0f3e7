import { setImmediate } from "node:timers/promises";
import type { NativeAddon, NativeTokens, NativeTokenTable } from "./native-types.js";
import type { Tokenizer } from "./tokenizer.js";

/** What a table is made of: a model's tokenizer, the number of its logits, and its end tokens. */
export interface TableParts {
  tokenizer: Tokenizer;
  vocabSize: number;
  stopTokens: number[];
}

/** Marks a token that stands for no text; this byte is in no text. */
const MARKER = 0xff;
/** So many tokens are looked up before other work may go on. */
const TOKENS_AT_A_TIME = 10_000;

const tables = new WeakMap<Tokenizer, Map<string, Promise<NativeTokenTable>>>();

/** The table of a model's tokens; models with the same tokenizer share it. */
export function tokenTable(addon: NativeAddon, parts: TableParts): Promise<NativeTokenTable> {
  const known = tables.get(parts.tokenizer) ?? new Map<string, Promise<NativeTokenTable>>();
  tables.set(parts.tokenizer, known);
  const key = `${parts.vocabSize} ${parts.stopTokens.join()}`;
  let table = known.get(key);
  if (!table) {
    table = describeTokens(parts).then((tokens) => addon.tokenTable(tokens));
    known.set(key, table);
    table.catch(() => known.delete(key));
  }
  return table;
}

/** The bytes of every token, as a grammar sees them. */
export async function describeTokens(parts: TableParts): Promise<NativeTokens> {
  const { tokenizer, vocabSize, stopTokens } = parts;
  const marked = new Set(stopTokens);
  const lengths = new Uint32Array(vocabSize);
  const pieces: Uint8Array[] = [];
  let id = 0;
  for (const bytes of tokenizer.allTokenBytes(vocabSize)) {
    const isMarked = tokenizer.isSpecial(id) || marked.has(id);
    const piece = isMarked ? Buffer.concat([Buffer.of(MARKER), bytes]) : bytes;
    pieces.push(piece);
    lengths[id++] = piece.length;
    if (id % TOKENS_AT_A_TIME === 0) await setImmediate();
  }
  // Not a part of Node's pool of small buffers.
  return { bytes: new Uint8Array(Buffer.concat(pieces)), lengths, ends: stopTokens };
}
