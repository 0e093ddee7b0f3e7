import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describeTokens } from "../../src/mlx/token-table.js";
import { loadTokenizer, type Tokenizer } from "../../src/mlx/tokenizer.js";

const FIXTURES = join(__dirname, "../fixtures/tokenizers");
const MARKER = 0xff;

/** The bytes of each token, as a grammar is told. */
async function tableOf(tokenizer: Tokenizer, vocabSize: number, stopTokens: number[] = []) {
  const { bytes, lengths, ends } = await describeTokens({ tokenizer, vocabSize, stopTokens });
  let end = 0;
  const pieces = Array.from(lengths, (length) => {
    end += length;
    return bytes.subarray(end - length, end);
  });
  expect([end, ends]).toEqual([bytes.length, stopTokens]);
  return pieces;
}

describe.each(readdirSync(FIXTURES))("the table of the %s tokenizer", (name) => {
  const folder = join(FIXTURES, name);
  const texts = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")) as {
    cases: { text: string; ids: number[] }[];
  };
  const size = (tokenizer: Tokenizer) => Math.max(...tokenizer.vocabulary().values()) + 1;

  test("has the bytes that the tokens of a text add to it", async () => {
    const tokenizer = await loadTokenizer(folder);
    const table = await tableOf(tokenizer, size(tokenizer));
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    // At the start of a text some tokens lose their space.
    const [before] = tokenizer.encode("a", { addSpecialTokens: false });
    const prefix = tokenizer.decode([before!]);
    expect(texts.cases.length).toBeGreaterThan(3);
    for (const { ids } of texts.cases) {
      const plain = ids.filter((id) => !tokenizer.isSpecial(id));
      let text = prefix + decoder.decode(Buffer.concat(plain.map((id) => table[id]!)));
      for (const step of tokenizer.textSteps()) text = step.push(text) + step.flush();
      expect(text).toBe(tokenizer.decode([before!, ...plain]));
    }
  });

  test("marks what stands for no text", async () => {
    const tokenizer = await loadTokenizer(folder);
    const table = await tableOf(tokenizer, size(tokenizer));
    for (const [token, id] of tokenizer.vocabulary()) {
      const isMarked = table[id]![0] === MARKER && table[id]!.length > 1;
      expect([token, isMarked]).toEqual([token, tokenizer.isSpecial(id)]);
    }
  });

  test("marks ends, and has nothing for logits without a token", async () => {
    const tokenizer = await loadTokenizer(folder);
    const most = size(tokenizer);
    const [word] = tokenizer.encode("a", { addSpecialTokens: false });
    const table = await tableOf(tokenizer, most + 7, [word!]);
    expect(table[word!]![0]).toBe(MARKER);
    expect(table.slice(most).every((bytes) => bytes.length === 0)).toBe(true);
  });
});
