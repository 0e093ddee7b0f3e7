import { isObject, type Json } from "./json-file.js";
import { rewritePreTokenizer, withWordSplit } from "./pre-tokenizer.js";
import { specialTokens } from "./tokenizer-files.js";

/** A tokenizer.json that was checked, in the form that the tokenizers library needs. */
export interface TokenizerJson extends Json {
  model: Json & { type: "BPE" | "Unigram" | "WordPiece" };
  added_tokens: AddedToken[];
}

/** A token beside the model's own vocabulary, found in the text before anything else. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  normalized: boolean;
  lstrip: boolean;
  rstrip: boolean;
  single_word: boolean;
}

/** More than any vocabulary has; ids index arrays, so a lying file must not choose their length. */
const LARGEST_ID = 2 ** 24;

/** How many characters its rules may make of one. */
const LARGEST_GROWTH = 1000;
/** Characters of what is searched in texts; nothing can interrupt the search for a text. */
const LONGEST_PATTERN = 4096;

/**
 * Checks a tokenizer.json and rewrites what the JavaScript library reads differently from Python's.
 * Throws an Error that says what is wrong with the file.
 */
export function prepareTokenizer(json: Json, config: Json): TokenizerJson {
  const model = checkModel(json.model);
  const growth = growthOf(json.normalizer) * growthOf(json.pre_tokenizer);
  if (growth > LARGEST_GROWTH) throw new Error(`it makes ${growth} characters of one`);
  const preTokenizer = rewritePreTokenizer(json.pre_tokenizer ?? null);
  return {
    ...json,
    model,
    added_tokens: collectAddedTokens(json, config, idLookup(model)),
    normalizer: rewriteNormalizer(json.normalizer ?? null),
    pre_tokenizer: keepsWordsApart(model) ? withWordSplit(preTokenizer) : preTokenizer,
    post_processor: json.post_processor ?? endsFromConfig(config),
    decoder: null, // Decoding is done by token-decoder.ts.
  };
}

function checkModel(model: unknown): TokenizerJson["model"] {
  if (!isObject(model)) throw new Error('it has no "model" object');
  const type = model.type ?? (Array.isArray(model.vocab) ? "Unigram" : "BPE");
  if (type === "BPE") checkBpe(model);
  else if (type === "Unigram") checkUnigram(model);
  else if (type === "WordPiece") checkWordPiece(model);
  else {
    const known = "only BPE, Unigram and WordPiece are supported";
    throw new Error(`it has a ${JSON.stringify(type)} model; ${known}`);
  }
  return { ...model, type };
}

function checkVocabulary({ vocab }: Json, type: string): void {
  if (!isObject(vocab)) throw new Error(`it has a ${type} model whose "vocab" is no object`);
  // A vocabulary has some hundred thousand entries: no copies of it.
  for (const token in vocab) {
    if (!isTokenId(vocab[token])) {
      throw new Error(`it gives token ${JSON.stringify(token)} no valid id`);
    }
  }
}

function checkWordPiece(model: Json): void {
  checkVocabulary(model, "WordPiece");
  const { vocab, unk_token, continuing_subword_prefix } = model;
  if (typeof unk_token !== "string" || !Object.hasOwn(vocab as Json, unk_token)) {
    throw new Error('it has a WordPiece model whose "unk_token" is no token');
  }
  if (typeof continuing_subword_prefix !== "string") {
    throw new Error('it has a WordPiece model without a "continuing_subword_prefix"');
  }
}

function checkBpe(model: Json): void {
  checkVocabulary(model, "BPE");
  const { merges } = model;
  if (!Array.isArray(merges)) throw new Error('it has a BPE model whose "merges" is no list');
  // The library tells the two forms of merges apart by the first one.
  const isMerge = typeof merges[0] === "string" ? isMergeText : isMergePair;
  if (!merges.every(isMerge)) throw new Error("it has a BPE merge that is no pair of tokens");
}

function isMergeText(merge: unknown): boolean {
  return typeof merge === "string" && /^[^ ]+ [^ ]+$/.test(merge);
}

function isMergePair(merge: unknown): boolean {
  return (
    Array.isArray(merge) &&
    merge.length === 2 &&
    typeof merge[0] === "string" &&
    typeof merge[1] === "string"
  );
}

function checkUnigram({ vocab, unk_id }: Json): void {
  if (!Array.isArray(vocab) || vocab.length === 0 || vocab.length > LARGEST_ID) {
    throw new Error('it has a Unigram model whose "vocab" is no list of tokens');
  }
  for (const entry of vocab) {
    const valid =
      Array.isArray(entry) && typeof entry[0] === "string" && typeof entry[1] === "number";
    if (!valid) throw new Error("it has a Unigram token without a score");
  }
  if (unk_id !== undefined && unk_id !== null && !(isTokenId(unk_id) && unk_id < vocab.length)) {
    throw new Error('it has a Unigram model whose "unk_id" is no token');
  }
}

type IdLookup = (token: string) => number | undefined;

function idLookup({ vocab }: Json): IdLookup {
  if (Array.isArray(vocab)) {
    const ids = new Map(vocab.map(([token], id) => [token as string, id]));
    return (token) => ids.get(token);
  }
  const ids = vocab as Record<string, number>;
  return (token) => (Object.hasOwn(ids, token) ? ids[token] : undefined);
}

/** As transformers does: the configuration may add tokens, and what it names is special. */
function collectAddedTokens(json: Json, config: Json, idOf: IdLookup): AddedToken[] {
  const listed = json.added_tokens ?? [];
  if (!Array.isArray(listed)) throw new Error('it has "added_tokens" that are no list');
  const declared = isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {};
  const tokens = new Map<string, AddedToken>();
  for (const token of listed) addToken(tokens, idOf, token, token?.id);
  for (const [id, token] of Object.entries(declared)) {
    addToken(tokens, idOf, token, Number(id));
  }
  for (const content of specialTokens(config)) {
    const known = tokens.get(content);
    const id = known?.id ?? idOf(content);
    if (id === undefined) continue;
    tokens.set(content, {
      ...(known ?? describeToken({ content, special: true }, id)),
      special: true,
    });
  }
  return [...tokens.values()];
}

function addToken(
  tokens: Map<string, AddedToken>,
  idOf: IdLookup,
  token: unknown,
  declaredId: unknown,
): void {
  if (!isObject(token) || typeof token.content !== "string" || token.content === "") {
    throw new Error("it has an added token without content");
  }
  checkPattern({ String: token.content });
  const id = tokens.get(token.content)?.id ?? idOf(token.content) ?? declaredId;
  if (!isTokenId(id)) {
    throw new Error(`it gives added token ${JSON.stringify(token.content)} no valid id`);
  }
  tokens.set(token.content, describeToken(token, id));
}

function describeToken(token: Json, id: number): AddedToken {
  return {
    id,
    content: token.content as string,
    special: token.special === true,
    normalized: typeof token.normalized === "boolean" ? token.normalized : token.special !== true,
    lstrip: token.lstrip === true,
    rstrip: token.rstrip === true,
    single_word: token.single_word === true,
  };
}

function isTokenId(id: unknown): id is number {
  return Number.isInteger(id) && (id as number) >= 0 && (id as number) <= LARGEST_ID;
}

/** Without a post-processor the configuration alone says whether BOS and EOS are added. */
function endsFromConfig(config: Json): Json | null {
  const [bos, eos] = [config.bos_token, config.eos_token].map((token) =>
    isObject(token) ? token.content : token,
  );
  const single: Json[] = [{ Sequence: { id: "A", type_id: 0 } }];
  if (config.add_bos_token === true && typeof bos === "string") {
    single.unshift({ SpecialToken: { id: bos, type_id: 0 } });
  }
  if (config.add_eos_token === true && typeof eos === "string") {
    single.push({ SpecialToken: { id: eos, type_id: 0 } });
  }
  return single.length === 1 ? null : { type: "TemplateProcessing", single, pair: single };
}

/** How many characters steps may write in place of one: a few such steps could fill any memory. */
function growthOf(step: unknown): number {
  if (!isObject(step)) return 1;
  const { content, replacement, normalizers, pretokenizers } = step;
  checkPattern(step.pattern);
  const own = [content, replacement].map((text) => (typeof text === "string" ? text.length : 1));
  const inner = [normalizers, pretokenizers].flatMap((steps) =>
    Array.isArray(steps) ? steps : [],
  );
  return [...own, ...inner.map(growthOf)].reduce((all, growth) => all * Math.max(1, growth), 1);
}

function checkPattern(pattern: unknown): void {
  const texts = isObject(pattern) ? [pattern.String, pattern.Regex] : [];
  for (const text of texts) {
    if (typeof text !== "string" || text.length <= LONGEST_PATTERN) continue;
    throw new Error(`it has a pattern of ${text.length} characters; at most ${LONGEST_PATTERN}`);
  }
}

function rewriteNormalizer(normalizer: unknown): unknown {
  if (!isObject(normalizer)) return normalizer;
  if (Array.isArray(normalizer.normalizers)) {
    return { ...normalizer, normalizers: normalizer.normalizers.map(rewriteNormalizer) };
  }
  if (normalizer.type === "Replace" && typeof normalizer.content === "string") {
    // The library gives the content to replaceAll, where a dollar sign has a meaning.
    return { ...normalizer, content: normalizer.content.replaceAll("$", "$$$$") };
  }
  return normalizer;
}

/**
 * True if no token of a SentencePiece-like BPE reaches over the end of a word: then words can be
 * merged one by one, which is many times faster than the whole text at once, and gives the same.
 */
function keepsWordsApart({ type, vocab, ignore_merges, end_of_word_suffix }: Json): boolean {
  if (type !== "BPE" || ignore_merges === true || end_of_word_suffix) return false;
  return Object.hasOwn(vocab as Json, "▁") && !Object.keys(vocab as Json).some(isAcrossWords);
}

function isAcrossWords(token: string): boolean {
  return /[^▁]▁/.test(token);
}
