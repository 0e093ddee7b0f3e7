import { ModelLoadError } from "../errors.js";
import { badGguf, type GgufHeader } from "./gguf.js";
import { GgufMetadata } from "./gguf-metadata.js";
import type { Json } from "./json-file.js";

/** Kinds of tokens, as "tokenizer.ggml.token_type" numbers them. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORDS = (digits: string) =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const UPPER = "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}";
const LOWER = "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}";
const CASED_WORDS =
  `[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]*[${LOWER}]+|[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]+[${LOWER}]*|` +
  "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** How a text is split before its words are merged. */
interface Split {
  steps: Json[];
  normalizer?: Json;
  /** A word that is a token is not merged. */
  keepsTokens?: boolean;
  /** Whether texts begin with BOS if the file does not say. */
  addsBos?: boolean;
}

const split = (pattern: string): Json => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior: "Isolated",
  invert: false,
});
const byteLevel = (splits: boolean): Json => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: splits,
});

const GPT2: Split = { steps: [byteLevel(true)] };
const LLAMA3: Split = {
  steps: [split(WORDS("\\p{N}{1,3}")), byteLevel(false)],
  keepsTokens: true,
  addsBos: true,
};
const QWEN2: Split = {
  steps: [split(WORDS("\\p{N}")), byteLevel(false)],
  normalizer: { type: "NFC" },
};
const SMOLLM: Split = { steps: [{ type: "Digits", individual_digits: true }, byteLevel(true)] };
const TEKKEN: Split = {
  steps: [split(CASED_WORDS), byteLevel(false)],
  keepsTokens: true,
  addsBos: true,
};

/** By the name in "tokenizer.ggml.pre". */
const SPLITS: Record<string, Split> = {
  "gpt-2": GPT2,
  llama3: LLAMA3,
  "llama-v3": LLAMA3,
  "llama-bpe": LLAMA3,
  qwen2: QWEN2,
  "deepseek-r1-qwen": QWEN2,
  smollm: SMOLLM,
  tekken: TEKKEN,
};

/** The vocabulary of a GGUF file. */
interface Vocabulary {
  metadata: GgufMetadata;
  tokens: string[];
  types: number[];
}

/** What tokenizer.json would say. */
export function tokenizerOfGguf(header: GgufHeader): Json {
  const vocabulary = readVocabulary(header);
  const { metadata } = vocabulary;
  const model = modelOf(metadata);
  const parts = model === "gpt2" ? byteLevelParts(vocabulary) : sentencePieceParts(vocabulary);
  return {
    version: "1.0",
    ...parts,
    post_processor: endsOf(header, vocabulary),
    added_tokens: addedTokens(vocabulary),
  };
}

/** What tokenizer_config.json would say. */
export function tokenizerConfigOfGguf(header: GgufHeader): Json {
  const { metadata, tokens } = readVocabulary(header);
  const named = (name: string, standard?: number) => {
    const id = metadata.number(`tokenizer.ggml.${name}_token_id`) ?? standard;
    return id === undefined ? undefined : tokens[id];
  };
  const isBytes = modelOf(metadata) === "gpt2";
  const addsBos = isBytes ? splitOf(metadata).addsBos === true : true;
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    add_bos_token: metadata.flag("tokenizer.ggml.add_bos_token") ?? addsBos,
    add_eos_token: metadata.flag("tokenizer.ggml.add_eos_token") ?? false,
    bos_token: named("bos", isBytes ? undefined : 1),
    eos_token: named("eos", isBytes ? undefined : 2),
    unk_token: named("unknown", isBytes ? undefined : 0),
    pad_token: named("padding"),
    chat_template: chatTemplates(metadata),
  };
}

function readVocabulary(header: GgufHeader): Vocabulary {
  const metadata = new GgufMetadata(header);
  const name = "tokenizer.ggml.tokens";
  const tokens = metadata.need(metadata.strings(name), name);
  const types = metadata.numbers("tokenizer.ggml.token_type") ?? [];
  return { metadata, tokens, types };
}

function modelOf(metadata: GgufMetadata): "gpt2" | "llama" {
  const name = "tokenizer.ggml.model";
  const model = metadata.need(metadata.text(name), name);
  if (model === "gpt2" || model === "llama") return model;
  throw unsupported(metadata.file, `a tokenizer of the kind "${model}"`);
}

function splitOf(metadata: GgufMetadata): Split {
  const name = metadata.text("tokenizer.ggml.pre") ?? "";
  if (Object.hasOwn(SPLITS, name)) return SPLITS[name]!;
  throw unsupported(metadata.file, `a tokenizer that splits texts as "${name}" does`);
}

function unsupported(file: string, what: string): ModelLoadError {
  return new ModelLoadError(`${file} has ${what}, which is not read from GGUF.`, {
    code: "bad_tokenizer",
    url: file,
    hint: "Choose the model in MLX format: mlx-community has most of them.",
  });
}

/** The tokens that begin and end every text. */
function endsOf(header: GgufHeader, { tokens }: Vocabulary): Json | null {
  const config = tokenizerConfigOfGguf(header);
  const special = (token: unknown) => ({ SpecialToken: { id: token, type_id: 0 } });
  const isToken = (token: unknown) => typeof token === "string";
  const begin = [config.add_bos_token && config.bos_token].filter(isToken);
  const end = [config.add_eos_token && config.eos_token].filter(isToken);
  const known = [...begin, ...end];
  if (known.length === 0) return null;
  const text = (id: "A" | "B") => [
    ...begin.map(special),
    { Sequence: { id, type_id: 0 } },
    ...end.map(special),
  ];
  const described = known.map((token) => {
    return [token, { id: token, ids: [tokens.indexOf(token)], tokens: [token] }] as const;
  });
  return {
    type: "TemplateProcessing",
    single: text("A"),
    pair: [...text("A"), ...text("B")],
    special_tokens: Object.fromEntries(described),
  };
}

function byteLevelParts(vocabulary: Vocabulary): Json {
  const { metadata } = vocabulary;
  const { steps, normalizer = null, keepsTokens = false } = splitOf(metadata);
  const name = "tokenizer.ggml.merges";
  const merges = metadata.need(metadata.strings(name), name);
  return {
    normalizer,
    pre_tokenizer: { type: "Sequence", pretokenizers: steps },
    model: { type: "BPE", vocab: idsOf(vocabulary), merges, ignore_merges: keepsTokens },
    decoder: byteLevel(true),
  };
}

/** A SentencePiece model joins the two neighbours that make the best token: merges, best first. */
function sentencePieceParts(vocabulary: Vocabulary): Json {
  const { metadata, tokens } = vocabulary;
  const prefixes = metadata.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const text = (content: string) => ({ String: content });
  const toMarks = { type: "Replace", pattern: text(" "), content: "▁" };
  const prepend = { type: "Prepend", prepend: "▁" };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    normalizer: { type: "Sequence", normalizers: prefixes ? [prepend, toMarks] : [toMarks] },
    pre_tokenizer: null,
    model: {
      type: "BPE",
      vocab: idsOf(vocabulary),
      merges: mergesOf(vocabulary),
      unk_token: tokens[vocabulary.types.indexOf(UNKNOWN)] ?? null,
      fuse_unk: true,
      byte_fallback: true,
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: text("▁"), content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefixes ? [strip] : []),
      ],
    },
  };
}

function mergesOf({ metadata, tokens, types }: Vocabulary): [string, string][] {
  const name = "tokenizer.ggml.scores";
  const scores = metadata.need(metadata.numbers(name), name);
  const known = new Set(tokens);
  const merges: { pair: [string, string]; score: number }[] = [];
  for (const [id, token] of tokens.entries()) {
    if ((types[id] ?? NORMAL) !== NORMAL || token.length > LONGEST_PIECE) continue;
    for (let at = 1; at < token.length; at++) {
      const pair: [string, string] = [token.slice(0, at), token.slice(at)];
      if (known.has(pair[0]) && known.has(pair[1])) merges.push({ pair, score: scores[id] ?? 0 });
    }
  }
  // As transformers orders those of one token: the longer beginning first.
  merges.sort((a, b) => b.score - a.score || b.pair[0].length - a.pair[0].length);
  return merges.map(({ pair }) => pair);
}

/** Pieces are at most 16 characters long unless a trainer was told otherwise. */
const LONGEST_PIECE = 256;

function idsOf({ tokens }: Vocabulary): Json {
  const ids: Record<string, number> = Object.create(null);
  for (const [id, token] of tokens.entries()) ids[token] ??= id;
  return ids;
}

function addedTokens({ tokens, types, metadata }: Vocabulary): Json[] {
  const added: Json[] = [];
  for (const [id, content] of tokens.entries()) {
    const type = types[id];
    const special = type === CONTROL || type === UNKNOWN;
    if (!special && type !== USER_DEFINED) continue;
    if (content === "") throw badGguf(metadata.file, `has an empty special token, ${id}`);
    const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    added.push({ id, content, special, ...plain });
  }
  return added;
}

function chatTemplates(metadata: GgufMetadata): unknown {
  const prefix = "tokenizer.chat_template.";
  const template = metadata.text("tokenizer.chat_template");
  const named = metadata.names(prefix).map((name) => ({
    name: name.slice(prefix.length),
    template: metadata.text(name),
  }));
  if (named.length === 0) return template;
  return template === undefined ? named : [{ name: "default", template }, ...named];
}
