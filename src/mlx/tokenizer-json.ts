import { isObject, type Json, specialTokens } from "./tokenizer-files.js";

/** A tokenizer.json that was checked, in the form that the tokenizers library needs. */
export interface TokenizerJson extends Json {
  model: Json & { type: "BPE" | "Unigram" };
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

/** GPT-2's way to split words, which a "ByteLevel" pre-tokenizer applies. */
const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * Checks a tokenizer.json and rewrites what the JavaScript library reads differently from Python's.
 * Throws an Error that says what is wrong with the file.
 */
export function prepareTokenizer(json: Json, config: Json): TokenizerJson {
  const model = checkModel(json.model);
  const vocabulary = vocabularyOf(model);
  const addedTokens = collectAddedTokens(json, config, vocabulary);
  return {
    ...json,
    model,
    added_tokens: addedTokens,
    normalizer: rewriteNormalizer(json.normalizer ?? null),
    pre_tokenizer: rewritePreTokenizer(json.pre_tokenizer ?? null),
    post_processor: json.post_processor ?? endsFromConfig(config),
    decoder: null, // Decoding is done by token-decoder.ts.
  };
}

function checkModel(model: unknown): TokenizerJson["model"] {
  if (!isObject(model)) throw new Error('it has no "model" object');
  const type = model.type ?? (Array.isArray(model.vocab) ? "Unigram" : "BPE");
  if (type !== "BPE" && type !== "Unigram") {
    throw new Error(`it has a ${JSON.stringify(type)} model; only BPE and Unigram are supported`);
  }
  if (type === "BPE") checkBpe(model);
  else checkUnigram(model);
  return { ...model, type };
}

function checkBpe({ vocab, merges }: Json): void {
  if (!isObject(vocab)) throw new Error('it has a BPE model whose "vocab" is no object');
  for (const [token, id] of Object.entries(vocab)) {
    if (!isTokenId(id)) throw new Error(`it gives token ${JSON.stringify(token)} no valid id`);
  }
  if (!Array.isArray(merges)) throw new Error('it has a BPE model whose "merges" is no list');
  for (const merge of merges) {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    if (
      Array.isArray(pair) &&
      pair.length === 2 &&
      pair.every((part) => typeof part === "string")
    ) {
      // The library tells the two forms of merges apart by the first one.
      if (typeof merge === typeof merges[0]) continue;
    }
    throw new Error("it has a BPE merge that is no pair of tokens");
  }
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

function vocabularyOf({ vocab }: Json): Map<string, number> {
  if (Array.isArray(vocab)) return new Map(vocab.map(([token], id) => [token as string, id]));
  return new Map(Object.entries(vocab as Record<string, number>));
}

/** As transformers does: the configuration may add tokens, and what it names is special. */
function collectAddedTokens(
  json: Json,
  config: Json,
  vocabulary: Map<string, number>,
): AddedToken[] {
  const listed = json.added_tokens ?? [];
  if (!Array.isArray(listed)) throw new Error('it has "added_tokens" that are no list');
  const declared = isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {};
  const tokens = new Map<string, AddedToken>();
  for (const token of listed) addToken(tokens, vocabulary, token, token?.id);
  for (const [id, token] of Object.entries(declared)) {
    addToken(tokens, vocabulary, token, Number(id));
  }
  for (const content of specialTokens(config)) {
    const known = tokens.get(content);
    const id = known?.id ?? vocabulary.get(content);
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
  vocabulary: Map<string, number>,
  token: unknown,
  declaredId: unknown,
): void {
  if (!isObject(token) || typeof token.content !== "string" || token.content === "") {
    throw new Error("it has an added token without content");
  }
  const id = tokens.get(token.content)?.id ?? vocabulary.get(token.content) ?? declaredId;
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
 * The library splits Digits and Punctuation by ASCII rules, whitespace by JavaScript's, ignores
 * Metaspace's "split", and knows only two of Split's behaviors. Regular expressions say all of it.
 */
function rewritePreTokenizer(step: unknown): unknown {
  if (!isObject(step)) return step;
  switch (step.type) {
    case "Sequence": {
      const steps = Array.isArray(step.pretokenizers) ? step.pretokenizers : [];
      return { ...step, pretokenizers: steps.map(rewritePreTokenizer) };
    }
    case "Split":
      return rewriteSplit(step);
    case "Digits":
      return splitBy(step.individual_digits === true ? "\\p{N}" : "\\p{N}+");
    case "Punctuation":
      return rewriteSplit({ ...step, pattern: { Regex: "[\\p{P}$+<=>\\^`|~]" } });
    case "Whitespace":
      return keepMatches("\\w+|[^\\w\\s]+");
    case "WhitespaceSplit":
      return keepMatches("\\S+");
    case "ByteLevel":
      return step.use_regex === false || step.add_prefix_space === true
        ? step
        : sequence(splitBy(GPT2_WORDS), { ...step, use_regex: false });
    case "Metaspace":
      return rewriteMetaspace(step);
    default:
      return step;
  }
}

function rewriteMetaspace(step: Json): Json {
  const mark = typeof step.replacement === "string" ? step.replacement : "▁";
  const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
  const metaspace = { ...step, prepend_scheme: scheme };
  if (step.split === false) return metaspace;
  const split = { type: "Split", pattern: { String: mark }, behavior: "MergedWithNext" };
  return sequence(metaspace, rewriteSplit(split));
}

function rewriteSplit(step: Json): Json {
  const pattern = patternOf(step.pattern);
  if (pattern === undefined) throw new Error('it has a "Split" pre-tokenizer without a pattern');
  const apart = `(?:(?!${pattern})[\\s\\S])`;
  switch (step.behavior) {
    case "MergedWithPrevious":
      return keepMatches(`[\\s\\S]*?(?:${pattern})|[\\s\\S]+`);
    case "MergedWithNext":
      return keepMatches(`(?:${pattern})${apart}*|${apart}+`);
    case "Contiguous":
      return splitBy(`(?:${pattern})+`);
    case "Removed":
      return step.invert === true ? keepMatches(pattern) : keepMatches(`${apart}+`);
    default:
      return splitBy(pattern);
  }
}

function patternOf(pattern: unknown): string | undefined {
  if (!isObject(pattern)) return undefined;
  if (typeof pattern.Regex === "string") return pattern.Regex;
  if (typeof pattern.String !== "string") return undefined;
  return pattern.String.replace(/[!-/:-@[-`{-~]/g, "\\$&");
}

function splitBy(pattern: string): Json {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}

function keepMatches(pattern: string): Json {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Removed", invert: true };
}

function sequence(...steps: Json[]): Json {
  return { type: "Sequence", pretokenizers: steps };
}
