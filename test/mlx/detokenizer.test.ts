import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Detokenizer } from "../../src/mlx/detokenizer.js";
import { ReplaceText } from "../../src/mlx/text-steps.js";
import { compileDecoder } from "../../src/mlx/token-decoder.js";
import { loadTokenizer, type Tokenizer } from "../../src/mlx/tokenizer.js";

const FIXTURES = join(__dirname, "../fixtures/tokenizers");

interface GoldenText {
  ids: number[];
  decodedWithoutSpecial: string;
}

function readTexts(name: string): GoldenText[] {
  const golden = JSON.parse(readFileSync(join(FIXTURES, name, "golden.json"), "utf8"));
  return [...golden.cases, ...golden.streams];
}

/** A fixed sequence of numbers below a limit. */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48271) % 2147483647;
    return state % limit;
  };
}

function stream(tokenizer: Tokenizer, batches: number[][]): string[] {
  const detokenizer = new Detokenizer(tokenizer);
  const pieces = batches.map((batch) => detokenizer.add(batch));
  return [...pieces, detokenizer.flush()];
}

function randomBatches(ids: number[], random: (limit: number) => number): number[][] {
  const batches: number[][] = [];
  for (let index = 0; index < ids.length; ) {
    const size = random(5);
    batches.push(ids.slice(index, index + size));
    index += size;
  }
  return batches;
}

describe.each(readdirSync(FIXTURES))("streaming the tokens of the %s tokenizer", (name) => {
  const texts = readTexts(name);
  let tokenizer: Tokenizer;

  beforeAll(async () => {
    tokenizer = await loadTokenizer(join(FIXTURES, name));
  });

  test("one by one gives the text of all of them", () => {
    for (const { ids } of texts) {
      const pieces = stream(
        tokenizer,
        ids.map((id) => [id]),
      );
      expect(pieces.join("")).toBe(tokenizer.decode(ids, { skipSpecialTokens: true }));
    }
  });

  test("in random batches gives the text of all of them", () => {
    const random = randomNumbers(11);
    for (const { ids } of texts) {
      const expected = tokenizer.decode(ids, { skipSpecialTokens: true });
      for (let round = 0; round < 10; round++) {
        expect(stream(tokenizer, randomBatches(ids, random)).join("")).toBe(expected);
      }
    }
  });

  test("never gives half a character", () => {
    for (const { ids, decodedWithoutSpecial } of texts) {
      const whole = Array.from(decodedWithoutSpecial);
      if (whole.includes("\ufffd")) continue;
      const pieces = stream(
        tokenizer,
        ids.map((id) => [id]),
      );
      expect(pieces.flatMap((piece) => Array.from(piece))).toEqual(whole);
    }
  });

  test("shows text at the latest with the next character", () => {
    const ids = tokenizer.encode("Ada reads 你好 and writes 😀 answers.", {
      addSpecialTokens: false,
    });
    const pieces = stream(
      tokenizer,
      ids.map((id) => [id]),
    );
    // Clean-up may hold back " n" or the like; nothing else waits for the end.
    expect(pieces.at(-1)).toBe("");
    expect(pieces.filter((piece) => piece !== "").length).toBeGreaterThan(8);
  });
});

describe("a single stream", () => {
  const load = (name: string): Promise<Tokenizer> => loadTokenizer(join(FIXTURES, name));

  test("an emoji of four byte tokens comes out with its last byte", async () => {
    const tokenizer = await load("llama2-like");
    const bytes = ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"].map((byte) => tokenizer.tokenId(byte)!);
    const pieces = stream(
      tokenizer,
      bytes.map((id) => [id]),
    );
    expect(pieces).toEqual(["", "", "", "😀", ""]);
  });

  test("a character that stays unfinished is replaced at the end, and only then", async () => {
    const tokenizer = await load("llama2-like");
    const bytes = ["<0x41>", "<0xE4>", "<0xBD>"].map((byte) => tokenizer.tokenId(byte)!);
    expect(
      stream(
        tokenizer,
        bytes.map((id) => [id]),
      ),
    ).toEqual(["A", "", "", "\ufffd"]);
  });

  test("the space before the first word is removed, and no other", async () => {
    const tokenizer = await load("llama2-like");
    const detokenizer = new Detokenizer(tokenizer);
    const space = tokenizer.tokenId("▁")!;
    expect(detokenizer.add([space])).toBe("");
    expect(detokenizer.add([space])).toBe(" ");
  });

  test("special tokens are left out unless they are wanted", async () => {
    const tokenizer = await load("qwen-like");
    const ids = tokenizer.encode("a<|im_end|>b<think>");
    expect(new Detokenizer(tokenizer).add(ids)).toBe("ab<think>");
    const all = new Detokenizer(tokenizer, { skipSpecialTokens: false });
    expect(all.add(ids)).toBe("a<|im_end|>b<think>");
  });

  test("ids outside the vocabulary add nothing", async () => {
    const tokenizer = await load("qwen-like");
    const [a] = tokenizer.encode("a");
    expect(new Detokenizer(tokenizer).add([100_000, a!, -1, 1.5])).toBe("a");
  });

  test("a byte order mark is text", async () => {
    const tokenizer = await load("qwen-like");
    const ids = tokenizer.encode("\ufeffa");
    expect(
      stream(
        tokenizer,
        ids.map((id) => [id]),
      ).join(""),
    ).toBe("\ufeffa");
  });

  test("the time for a token does not grow with the text", async () => {
    const tokenizer = await load("unigram");
    const ids = tokenizer.encode("The model reads the prompt . ", { addSpecialTokens: false });
    let work = 0;
    const counted = {
      isSpecial: (id: number) => tokenizer.isSpecial(id),
      textSteps: () => tokenizer.textSteps(),
      tokenBytes: (id: number, first?: boolean) => {
        work++;
        return tokenizer.tokenBytes(id, first);
      },
    };
    const detokenizer = new Detokenizer(counted);
    const longest = Math.max(
      ...Array.from({ length: 2000 }, () => ids.map((id) => detokenizer.add([id]).length)).flat(),
    );
    expect(work).toBeLessThanOrEqual(2000 * ids.length);
    expect(longest).toBeLessThan(20);
  });
});

describe("decoders", () => {
  test("a tokenizer without a decoder writes its tokens apart", () => {
    const decoder = compileDecoder(null);
    expect(Buffer.from(decoder.bytes("a", true)).toString()).toBe("a");
    expect(Buffer.from(decoder.bytes("b", false)).toString()).toBe(" b");
  });

  test("spaces may be stripped from each token", () => {
    const decoder = compileDecoder({ type: "Strip", content: "_", start: 1, stop: 2 });
    expect(Buffer.from(decoder.bytes("__a___", false)).toString()).toBe("_a_");
    expect(Buffer.from(decoder.bytes("__", false)).toString()).toBe("");
  });

  test("text may be replaced across tokens after they were fused", () => {
    const decoder = compileDecoder({
      type: "Sequence",
      decoders: [{ type: "Fuse" }, { type: "Replace", pattern: { String: "ab" }, content: "-" }],
    });
    const detokenizer = new Detokenizer({
      isSpecial: () => false,
      textSteps: decoder.textSteps,
      tokenBytes: (id, first = false) => decoder.bytes("abc"[id]!, first),
    });
    expect([detokenizer.add([2, 0]), detokenizer.add([1, 0]), detokenizer.flush()]).toEqual([
      "c",
      "-",
      "a",
    ]);
  });

  test.each([
    [{ type: "CTC" }, 'a decoder "CTC", which is not supported'],
    [{ type: "Replace", pattern: { Regex: "a" }, content: "" }, "not one of a string by a string"],
    [{ type: "Sequence" }, 'no list "decoders"'],
    ["ByteLevel", '"decoder" that is no object'],
    [{ type: "Strip", content: "ab" }, "no single character"],
    [
      { type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Strip", content: " ", stop: 1 }] },
      "strips the end of the whole text",
    ],
  ])("%j is refused", (decoder, message) => {
    expect(() => compileDecoder(decoder)).toThrow(message);
  });

  test("a streamed replacement equals one of the whole text", () => {
    const random = randomNumbers(5);
    for (let round = 0; round < 2000; round++) {
      const text = Array.from({ length: random(14) }, () => "ab "[random(3)]).join("");
      const search = ["a", "ab", "aa", "aba", " a ", "abab"][random(6)]!;
      const step = new ReplaceText(search, "a");
      let result = "";
      for (let index = 0; index < text.length; ) {
        const length = 1 + random(3);
        result += step.push(text.slice(index, index + length));
        index += length;
      }
      expect([text, search, result + step.flush()]).toEqual([
        text,
        search,
        text.replaceAll(search, "a"),
      ]);
    }
  });
});
