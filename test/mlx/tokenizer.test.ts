import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { readFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelLoadError } from "../../src/errors.js";
import { loadTokenizer, type Tokenizer } from "../../src/mlx/tokenizer.js";

const FIXTURES = join(__dirname, "../fixtures/tokenizers");

interface GoldenCase {
  name: string;
  text: string;
  ids: number[];
  idsWithSpecial: number[];
  decoded: string;
  decodedWithoutSpecial: string;
}

interface Golden {
  cases: GoldenCase[];
  streams: Omit<GoldenCase, "name" | "text" | "idsWithSpecial">[];
}

/**
 * Where byte tokens stand for no character, Python replaces all of the run. We keep the characters
 * that are whole, because a stream has already shown them, as mlx-lm's streams have.
 */
const KNOWN_DIFFERENCES: Record<string, string> = {
  "unigram-bytes: byte token names": " A� not bytes",
};

describe.each(readdirSync(FIXTURES))("the %s tokenizer", (name) => {
  const folder = join(FIXTURES, name);
  const golden: Golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8"));
  let tokenizer: Tokenizer;

  beforeAll(async () => {
    tokenizer = await loadTokenizer(folder);
  });

  test.each(golden.cases)("encodes $name as Python does", ({ text, ids, idsWithSpecial }) => {
    expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
    expect(tokenizer.encode(text)).toEqual(idsWithSpecial);
  });

  test.each(golden.cases)("decodes $name as Python does", (golden) => {
    const different = KNOWN_DIFFERENCES[`${name}: ${golden.name}`];
    expect(tokenizer.decode(golden.ids)).toBe(different ?? golden.decoded);
    const skipped = tokenizer.decode(golden.ids, { skipSpecialTokens: true });
    expect(skipped).toBe(different ?? golden.decodedWithoutSpecial);
    if (different) expect(golden.decoded).toBe(" �� not bytes");
  });

  test("decodes random tokens as Python does", () => {
    for (const { ids, decoded, decodedWithoutSpecial } of golden.streams) {
      expect(tokenizer.decode(ids)).toBe(decoded);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(decodedWithoutSpecial);
    }
  });
});

describe("special tokens", () => {
  const load = (name: string): Promise<Tokenizer> => loadTokenizer(join(FIXTURES, name));

  test("BOS is not added to a text that begins with it", async () => {
    const tokenizer = await load("llama3-like");
    const bos = tokenizer.tokenId("<|begin_of_text|>");
    expect(tokenizer.bosToken).toBe("<|begin_of_text|>");
    const plain = tokenizer.encode("Hello");
    expect(plain[0]).toBe(bos);
    expect(tokenizer.encode("<|begin_of_text|>Hello")).toEqual(plain);
    expect(tokenizer.encode("Hello", { addSpecialTokens: false })).toEqual(plain.slice(1));
  });

  test("a model without BOS has none", async () => {
    const tokenizer = await load("qwen-like");
    expect(tokenizer.bosToken).toBeUndefined();
    expect([tokenizer.eosToken, tokenizer.eosTokenId]).toEqual(["<|im_end|>", 802]);
  });

  test("may be given as objects", async () => {
    const tokenizer = await load("smollm-like");
    expect(tokenizer.eosToken).toBe("<|im_end|>");
    expect(tokenizer.eosTokenId).toBe(tokenizer.tokenId("<|im_end|>"));
  });

  test("tokens that are not special are part of the text", async () => {
    const tokenizer = await load("qwen-like");
    expect(tokenizer.isSpecial(tokenizer.tokenId("<|im_end|>")!)).toBe(true);
    expect(tokenizer.isSpecial(tokenizer.tokenId("<think>")!)).toBe(false);
    expect(tokenizer.tokenId("no such token")).toBeUndefined();
  });
});

interface TokenizerFile extends Record<string, unknown> {
  model: { merges: (string | string[])[] };
  normalizer: { normalizers: unknown[] };
}

test("who loads the same folder shares its tokenizer", async () => {
  const folder = join(FIXTURES, "qwen-like");
  expect(await loadTokenizer(folder)).toBe(await loadTokenizer(folder));
});

describe("a changed folder", () => {
  let folder: string;
  let json: TokenizerFile;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
    json = JSON.parse(await readFile(join(FIXTURES, "llama2-like/tokenizer.json"), "utf8"));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  const write = (name: string, value: unknown): Promise<void> => {
    return writeFile(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
  };

  const load = async (change: Record<string, unknown>, config?: unknown): Promise<Tokenizer> => {
    await write("tokenizer.json", { ...json, ...change });
    if (config) await write("tokenizer_config.json", config);
    return loadTokenizer(folder);
  };

  const refusal = async (): Promise<ModelLoadError> => {
    const error = await loadTokenizer(folder).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ModelLoadError);
    expect(error).toMatchObject({ code: "bad_tokenizer", hint: expect.any(String) });
    return error as ModelLoadError;
  };

  test("works without tokenizer_config.json", async () => {
    const tokenizer = await load({});
    expect(tokenizer.eosToken).toBeUndefined();
    expect(tokenizer.decode(tokenizer.encode("Hi"), { skipSpecialTokens: true })).toBe("Hi");
  });

  test("special_tokens_map.json names tokens that the configuration does not", async () => {
    await write("special_tokens_map.json", { eos_token: { content: "</s>" }, bos_token: "wrong" });
    const tokenizer = await load({}, { bos_token: "<s>" });
    expect([tokenizer.bosToken, tokenizer.eosToken]).toEqual(["<s>", "</s>"]);
    expect(tokenizer.eosTokenId).toBe(2);
  });

  test("without a post-processor the configuration says what is added", async () => {
    const tokens = { bos_token: "<s>", eos_token: "</s>" };
    const bare = (await load({ post_processor: null }, tokens)).encode("Hi");
    const config = { ...tokens, add_bos_token: true, add_eos_token: true };
    const both = (await load({ post_processor: null }, config)).encode("Hi");
    expect(both).toEqual([1, ...bare, 2]);
    delete json.post_processor;
    expect((await load({}, { ...config, add_eos_token: false })).encode("Hi")).toEqual([
      1,
      ...bare,
    ]);
  });

  test("a post-processor counts more than the configuration", async () => {
    const config = { bos_token: "<s>", add_bos_token: false };
    expect((await load({}, config)).encode("Hi")[0]).toBe(1);
  });

  test("the configuration makes tokens of the vocabulary special, and adds some", async () => {
    const tokenizer = await load(
      { added_tokens: [] },
      {
        eos_token: "</s>",
        additional_special_tokens: ["t"],
        added_tokens_decoder: { 681: { content: "<new>", special: true } },
      },
    );
    expect(tokenizer.tokenId("<new>")).toBe(681);
    const ids = tokenizer.encode("a<new></s>t", { addSpecialTokens: false });
    expect(ids.slice(1)).toEqual([681, 2, tokenizer.tokenId("t")]);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("a");
  });

  test("halves of surrogate pairs are encoded as replacement characters", async () => {
    const tokenizer = await load({});
    const ids = tokenizer.encode("a\ud83db", { addSpecialTokens: false });
    expect(tokenizer.decode(ids)).toBe("a\ufffdb");
  });

  test("dollar signs in a normalizer's replacement are only dollar signs", async () => {
    const replace = { type: "Replace", pattern: { String: "a" }, content: "$&$$" };
    const steps = [...json.normalizer.normalizers, replace];
    const tokenizer = await load({ normalizer: { type: "Sequence", normalizers: steps } });
    const ids = tokenizer.encode("cat", { addSpecialTokens: false });
    expect(tokenizer.decode(ids)).toBe("c$&$$t");
  });

  test("an old Metaspace says with add_prefix_space whether it adds one", async () => {
    const metaspace = { type: "Metaspace", replacement: "▁", add_prefix_space: false };
    const tokenizer = await load({ normalizer: null, pre_tokenizer: metaspace });
    const [first] = tokenizer.encode("the", { addSpecialTokens: false });
    expect(tokenizer.tokenId("t")).toBeDefined();
    expect(first).toBe(tokenizer.tokenId("t"));
  });

  test("merges may be pairs, as newer files have them", async () => {
    const merges = json.model.merges.map((merge) => {
      return typeof merge === "string" ? merge.split(" ") : merge.join(" ");
    });
    const expected = (await load({})).encode("Ada reads the prompt");
    const tokenizer = await load({ model: { ...json.model, merges } });
    expect(tokenizer.encode("Ada reads the prompt")).toEqual(expected);
  });

  test("a word of many tokens is encoded", async () => {
    const tokenizer = await loadTokenizer(join(FIXTURES, "unigram"));
    expect(tokenizer.encode("x".repeat(300_000)).length).toBeGreaterThan(100_000);
  });

  test("a folder without tokenizer.json is refused", async () => {
    expect((await refusal()).message).toBe(`${folder} has no tokenizer.json.`);
  });

  test.each(["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"])(
    "a %s that is no JSON is refused",
    async (name) => {
      await write("tokenizer.json", json);
      await write(name, '{"model": ');
      const { message } = await refusal();
      expect(message).toMatch(`${join(folder, name)} is not JSON: `);
    },
  );

  test("a tokenizer.json that is no object is refused", async () => {
    await write("tokenizer.json", "[1]");
    expect((await refusal()).message).toMatch("is not a JSON object");
  });

  test("a tokenizer.json that cannot be read is refused", async () => {
    await rm(folder, { recursive: true });
    folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
    await writeFile(join(folder, "other"), "");
    const error = await loadTokenizer(join(folder, "other")).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "bad_tokenizer" });
  });

  test("a tokenizer.json of absurd size is not read", async () => {
    await write("tokenizer.json", "");
    await truncate(join(folder, "tokenizer.json"), 2 ** 40);
    expect((await refusal()).message).toMatch("bytes long; at most 268435456 are read");
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["no model", { model: undefined }, 'it has no "model" object'],
    ["a WordLevel model", { model: { type: "WordLevel", vocab: {} } }, 'a "WordLevel" model; only'],
    ["no unknown token", { model: { type: "WordPiece", vocab: {} } }, '"unk_token" is no token'],
    ["a vocabulary that is a list", { model: { type: "BPE", vocab: [], merges: [] } }, "no object"],
    ["no merges", { model: { type: "BPE", vocab: {} } }, '"merges" is no list'],
    ["an id that is text", { model: { vocab: { a: "1" }, merges: [] } }, 'token "a" no valid id'],
    ["a huge id", { model: { vocab: { a: 2 ** 40 }, merges: [] } }, 'token "a" no valid id'],
    ["a negative id", { model: { vocab: { a: -1 }, merges: [] } }, 'token "a" no valid id'],
    ["a merge that is a number", { model: { vocab: {}, merges: [7] } }, "a BPE merge that is no"],
    ["a merge of three", { model: { vocab: {}, merges: ["a b c"] } }, "a BPE merge that is no"],
    ["merges of both forms", { model: { vocab: {}, merges: ["a b", ["a", "b"]] } }, "a BPE merge"],
    ["an empty Unigram", { model: { type: "Unigram", vocab: [] } }, "no list of tokens"],
    ["a token without score", { model: { vocab: [["a"]] } }, "a Unigram token without a score"],
    ["a wrong unk_id", { model: { vocab: [["a", 0]], unk_id: 1 } }, '"unk_id" is no token'],
    ["added tokens that are no list", { added_tokens: {} }, '"added_tokens" that are no list'],
    ["an added token without content", { added_tokens: [{ id: 1 }] }, "without content"],
    ["an added token that is null", { added_tokens: [null] }, "without content"],
    ["an added token without id", { added_tokens: [{ content: "new" }] }, '"new" no valid id'],
    ["an unknown normalizer", { normalizer: { type: "Magic" } }, "Unknown Normalizer type: Magic"],
    ["a normalizer that is text", { normalizer: "NFC" }, "Unknown Normalizer type"],
    ["an unknown pre-tokenizer", { pre_tokenizer: { type: "Magic" } }, "Unknown PreTokenizer type"],
    ["a Split without pattern", { pre_tokenizer: { type: "Split" } }, "without a pattern"],
    [
      "a broken regular expression",
      { pre_tokenizer: { type: "Split", pattern: { Regex: "(" } } },
      "Invalid regular expression",
    ],
    ["an unknown post-processor", { post_processor: { type: "Magic" } }, "Unknown PostProcessor"],
    ["an unknown decoder", { decoder: { type: "CTC" } }, 'a decoder "CTC", which is not supported'],
  ])("%s is refused", async (_, change, reason) => {
    await write("tokenizer.json", { ...json, ...change });
    const { message } = await refusal();
    expect(message).toMatch(`${join(folder, "tokenizer.json")} cannot be used: `);
    expect(message).toMatch(reason);
  });

  test("an expression that backtracks without end is interrupted", async () => {
    const pattern = { Regex: "(?:a+)+$" };
    const tokenizer = await load({
      pre_tokenizer: { type: "Split", pattern, behavior: "Isolated" },
    });
    expect(tokenizer.encode("aaaa").length).toBeGreaterThan(0);
    expect(() => tokenizer.encode(`${"a".repeat(60)}b`)).toThrow(
      expect.objectContaining({
        code: "bad_tokenizer",
        message: `${join(folder, "tokenizer.json")} cannot encode 61 characters: it takes more than 5 s.`,
      }),
    );
  }, 60_000);

  test("steps that make very long texts of short ones are refused", async () => {
    const replace = { type: "Replace", pattern: { String: "a" }, content: "a".repeat(40) };
    const normalizers = [replace, replace];
    await load({ normalizer: { type: "Sequence", normalizers: [replace] } });
    await write("tokenizer.json", { ...json, normalizer: { type: "Sequence", normalizers } });
    expect((await refusal()).message).toMatch("it makes 1600 characters of one");
  });

  test("steps nested without end are refused", async () => {
    const depth = 20_000;
    for (const [key, list] of [
      ["normalizer", "normalizers"],
      ["pre_tokenizer", "pretokenizers"],
      ["decoder", "decoders"],
    ]) {
      const open = `{"type":"Sequence","${list}":[`.repeat(depth);
      const text = JSON.stringify({ ...json, [key!]: "HERE" });
      await write("tokenizer.json", text.replace('"HERE"', `${open}${"]}".repeat(depth)}`));
      expect((await refusal()).message).toMatch("call stack");
    }
  });
});
