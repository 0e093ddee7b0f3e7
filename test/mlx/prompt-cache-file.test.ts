import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ValidationError } from "../../src/errors.js";
import { readPromptCacheFile } from "../../src/mlx/prompt-cache-file.js";
import { promptCacheFile, promptCaches } from "../helpers/prompt-caches.js";
import { writeSafetensors } from "../helpers/safetensors-file.js";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "prompt-cache-file-"));
  file = join(folder, "prompt.safetensors");
});
afterEach(() => rm(folder, { recursive: true }));

type Header = Record<string, Record<string, unknown>>;

/** A copy of a file of mlx-lm's with another header, or other data. */
async function copy(
  name: string,
  change: (header: Header, data: Buffer) => void = () => {},
): Promise<string> {
  const bytes = await readFile(promptCacheFile(name));
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, end).toString()) as Header;
  const data = bytes.subarray(end);
  change(header, data);
  return writeSafetensors(file, header, data);
}

async function refusal(): Promise<string> {
  const error: unknown = await readPromptCacheFile(file).catch((reason: unknown) => reason);
  if (!ValidationError.is(error)) throw new Error(`expected a refusal, got ${String(error)}`);
  expect(error).toMatchObject({ code: "bad_prompt_cache", provider: "mlx", url: file });
  expect(error.hint).toContain("mlx_lm.cache_prompt");
  return error.message;
}

test.each(promptCaches.map((one) => [one.name, one] as const))(
  "tells what mlx-lm keeps of a text: %s",
  async (name, one) => {
    const { cache, model, tokens } = await readPromptCacheFile(promptCacheFile(name));
    expect([model, tokens]).toEqual([one.model, undefined]);
    expect(cache.tokens).toBe(name === "states" ? 0 : one.before.length);
    expect(cache.kvBits).toBe(one.kv_bits);
    expect(cache.maxKvSize).toBe(one.max_kv_size);
  },
);

test("puts a ring into the order of time", async () => {
  const { cache } = await readPromptCacheFile(promptCacheFile("ring"));
  const rings = cache.layers.filter(({ kind }) => kind === "RotatingKVCache");
  expect(rings.length).toBeGreaterThan(0);
  // 40 tokens went around a ring of 16 twice, and half of a third time.
  for (const ring of rings) {
    expect(ring).toMatchObject({ window: 16, keep: 0, order: [0, 0, 8, 16, 0, 8] });
  }
});

test("tells the text where it is noted", async () => {
  const ids = Array.from({ length: 40 }, (_, index) => index);
  await copy("plain", ({ __metadata__: about }) => {
    about!["0.tokens"] = ids.join(",");
    about!["0.fingerprint"] = "abc";
  });
  expect(await readPromptCacheFile(file)).toMatchObject({ tokens: ids, fingerprint: "abc" });
});

test.each<[string, (about: Record<string, unknown>, header: Header) => void, string]>([
  ["names no layers", (about) => delete about["1.0"], "names no layers"],
  [
    "is of other software",
    (about) => {
      for (const key of Object.keys(about)) delete about[key];
    },
    "names no layers",
  ],
  [
    "has a kind of layer that no model here has",
    (about) => (about["1.0"] = "CacheList"),
    "is a CacheList",
  ],
  ["has a kind with an odd name", (about) => (about["1.0"] = "__proto__"), "is a __proto__"],
  [
    "has more tensors than layers",
    (about) => delete about["1.1"],
    'has "1.0", which belongs to no',
  ],
  ["has fewer tensors than layers", (about) => (about["1.2"] = "KVCache"), "has a layer 2 that"],
  ["lacks a number", (about) => (about["2.1.1"] = "string"), 'unknown kind at "0.2"'],
  ["says that a tensor is a number", (about) => (about["2.1.0"] = "0.0"), 'unknown kind at "0.0"'],
  ["says a number twice", (about) => (about["2.2.0"] = "0.2"), 'no value at "0.2"'],
  ["names a number that is not there", (about) => (about["2.1.0"] = "9.9"), 'no value at "9.9"'],
  ["has a list of tokens that is none", (about) => (about["0.tokens"] = "1,,2"), "list of tokens"],
  ["names too few tokens", (about) => (about["0.tokens"] = "1,2"), "names 2 tokens, but holds 40"],
  [
    "has keys of an odd type",
    (_, header) => Object.assign(header["0.0"]!, { dtype: "I32" }),
    'tensor "0.0" of type I32',
  ],
  [
    "has keys that lie about their shape",
    (_, header) => Object.assign(header["0.0"]!, { shape: [1, 2, 999, 16] }),
    "needs 127872 bytes",
  ],
])("a file that %s is refused", async (_, change, reason) => {
  await copy("plain", (header) => change(header.__metadata__!, header));
  expect(await refusal()).toContain(reason);
});

test.each<[string, string, string, number, string]>([
  ["negative", "plain", "0.2", -1, 'no number of tokens at "0.2"'],
  ["another one in each layer", "plain", "1.2", 39, "different numbers of tokens"],
  ["of a ring beyond its end", "ring", "0.5", 99, "broken ring"],
  ["of kept tokens beyond the ring", "ring", "0.3", 99, "broken ring"],
  ["of a window of nothing", "ring", "0.4", 0, "broken ring"],
  ["of a chunk that begins too late", "chunked", "0.4", 41, "begins behind its end"],
  ["of bits, another in each layer", "quantized", "1.4", 4, "different bits"],
])("a number of tokens that is %s is refused", async (_, name, place, value, reason) => {
  await copy(name, (header, data) => {
    const [begin] = header[place]!.data_offsets as [number, number];
    data.writeInt32LE(value, begin);
  });
  expect(await refusal()).toContain(reason);
});

test("rows of a batch are refused", async () => {
  await copy("states", (header) => {
    // Its left padding would be there.
    header.__metadata__!["2.1.0"] = "0.9";
    header["0.9"] = header["0.1"]!;
    header["0.1"] = { ...header["0.9"], shape: [0] };
  });
  expect(await refusal()).toContain('has something at "0.1"');
});

test("a file that is cut, empty, text or a folder is refused", async () => {
  await copy("plain");
  await truncate(file, 90_000);
  expect(await refusal()).toContain("is truncated");
  await writeFile(file, "");
  expect(await refusal()).toContain("is truncated");
  await writeFile(file, "The quick brown fox jumps over the lazy dog.");
  expect(await refusal()).toContain("is not a safetensors file");
  await rm(file);
  expect(await refusal()).toContain("does not exist");
  file = folder;
  expect(await refusal()).toContain("is not a regular file");
});
