import { cleanUpSteps, ReplaceText, StripStart, type TextStep } from "./text-steps.js";

/** How the tokens of a tokenizer.json become text: its "decoder", compiled. */
export interface TokenDecoder {
  /** Bytes that a token adds to the text; some tokenizers treat the first token differently. */
  bytes(token: string, first: boolean): Uint8Array;
  /** Fresh state of the changes that the text as a whole undergoes. */
  textSteps(): TextStep[];
}

type Json = Record<string, unknown>;
/** Changes the text of one token; a number is a single byte. */
type TokenStep = (token: string | number, first: boolean) => string | number;

/** Compiles the "decoder" of a tokenizer.json; throws an Error that says what is not supported. */
export function compileDecoder(decoder: unknown): TokenDecoder {
  if (decoder === undefined || decoder === null) return spacedTokens();
  const tokenSteps: TokenStep[] = [];
  const textSteps: (() => TextStep)[] = [];
  let byteLevel = false;
  let fused = false;
  let cleansUp = false;
  for (const step of flatten(decoder)) {
    if (step.type === "ByteLevel" && tokenSteps.length === 0) byteLevel = true;
    if (step.type === "ByteLevel" || step.type === "Fuse") fused = true;
    else if (fused) textSteps.push(compileTextStep(step));
    else tokenSteps.push(compileTokenStep(step));
    cleansUp ||= step.type === "WordPiece" && step.cleanup !== false;
  }
  return {
    bytes(token, first) {
      if (byteLevel) return byteLevelBytes(token);
      const result = tokenSteps.reduce<string | number>((piece, step) => step(piece, first), token);
      return typeof result === "number" ? Uint8Array.of(result) : Buffer.from(result, "utf8");
    },
    textSteps: () => [...textSteps.map((create) => create()), ...(cleansUp ? cleanUpSteps() : [])],
  };
}

function flatten(decoder: unknown): Json[] {
  if (typeof decoder !== "object" || decoder === null)
    throw new Error('it has a "decoder" that is no object');
  const step = decoder as Json;
  if (step.type !== "Sequence") return [step];
  if (!Array.isArray(step.decoders)) throw new Error('its "decoder" has no list "decoders"');
  return step.decoders.flatMap(flatten);
}

/** Without a decoder the tokens are words, as in Python's tokenizers. */
function spacedTokens(): TokenDecoder {
  return {
    bytes: (token, first) => Buffer.from(first ? token : ` ${token}`, "utf8"),
    textSteps: () => [],
  };
}

function compileTokenStep(step: Json): TokenStep {
  switch (step.type) {
    case "Replace": {
      const [search, content] = replacement(step);
      return onText((text) => text.replaceAll(search, () => content));
    }
    case "Metaspace": {
      const mark = typeof step.replacement === "string" ? step.replacement : "▁";
      const keepsFirst = step.prepend_scheme === "never" || step.add_prefix_space === false;
      return onText((text, first) => text.replaceAll(mark, first && !keepsFirst ? "" : " "));
    }
    case "ByteFallback":
      return onText((text) => {
        const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
        return hex ? Number.parseInt(hex, 16) : text;
      });
    case "WordPiece": {
      const prefix = typeof step.prefix === "string" ? step.prefix : "##";
      return onText((text, first) => {
        if (first) return text;
        return text.startsWith(prefix) ? text.slice(prefix.length) : ` ${text}`;
      });
    }
    case "Strip": {
      const content = stripContent(step);
      return onText((text) => stripBoth(text, content, count(step.start), count(step.stop)));
    }
    default:
      throw unsupported(step);
  }
}

function compileTextStep(step: Json): () => TextStep {
  switch (step.type) {
    case "Replace": {
      const [search, content] = replacement(step);
      return () => new ReplaceText(search, content);
    }
    case "Strip": {
      if (count(step.stop) > 0) throw new Error("its decoder strips the end of the whole text");
      return () => new StripStart(stripContent(step), count(step.start));
    }
    default:
      throw unsupported(step);
  }
}

function onText(change: (text: string, first: boolean) => string | number): TokenStep {
  return (token, first) => (typeof token === "string" ? change(token, first) : token);
}

function replacement(step: Json): [search: string, content: string] {
  const search = (step.pattern as { String?: unknown } | undefined)?.String;
  if (typeof search !== "string" || search === "" || typeof step.content !== "string") {
    throw new Error('its decoder "Replace" is not one of a string by a string');
  }
  return [search, step.content];
}

function stripBoth(text: string, content: string, atStart: number, atEnd: number): string {
  let start = 0;
  while (start < atStart && text[start] === content) start++;
  let end = text.length;
  while (text.length - end < atEnd && end > start && text[end - 1] === content) end--;
  return text.slice(start, end);
}

function stripContent(step: Json): string {
  if (typeof step.content === "string" && step.content.length === 1) return step.content;
  throw new Error('its decoder "Strip" has no single character as "content"');
}

function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function unsupported(step: Json): Error {
  return new Error(`it has a decoder ${JSON.stringify(step.type)}, which is not supported`);
}

/** A token with any other character, such as an added token, stands for its own UTF-8 bytes. */
function byteLevelBytes(token: string): Uint8Array {
  const bytes = Array.from(token, (character) => BYTE_OF_CHARACTER.get(character));
  if (bytes.includes(undefined)) return Buffer.from(token, "utf8");
  return Uint8Array.from(bytes as number[]);
}

/** GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes follow from U+0100 on. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const bytes = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
    bytes.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return bytes;
})();
