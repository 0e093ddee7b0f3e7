import { isObject, type Json } from "./json-file.js";

/** GPT-2's way to split words, which a "ByteLevel" pre-tokenizer applies. */
const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * The library splits Digits and Punctuation by ASCII rules, whitespace by JavaScript's, ignores
 * Metaspace's "split", and knows only two of Split's behaviors. Regular expressions say all of it.
 * The expressions of a file are run as they are, but not without end.
 */
export function rewritePreTokenizer(step: unknown): unknown {
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
      // Joiners belong to words in Rust's expressions.
      return keepMatches("[\\w\u200c\u200d]+|[^\\w\\s\u200c\u200d]+");
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

/** Splits words that are marked by ▁ after whatever splits the text before. */
export function withWordSplit(preTokenizer: unknown): Json {
  const words = keepMatches("▁+[^▁]*|[^▁]+");
  return isObject(preTokenizer) ? sequence(preTokenizer, words) : words;
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
