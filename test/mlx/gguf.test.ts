import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelLoadError } from "../../src/errors.js";
import { readGgufHeader } from "../../src/mlx/gguf.js";
import { GgufMetadata } from "../../src/mlx/gguf-metadata.js";
import { configOfGguf, generationConfigOfGguf } from "../../src/mlx/gguf-config.js";
import { tokenizerConfigOfGguf, tokenizerOfGguf } from "../../src/mlx/gguf-tokenizer.js";
import { loadedBytes, weightsOfGguf } from "../../src/mlx/gguf-weights.js";
import { ggufBytes, list, type GgufParts } from "../helpers/gguf-file.js";

const fixture = join(__dirname, "../fixtures/gguf/qwen3-q8_0.gguf");
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gguf-"));
  file = join(folder, "model.gguf");
});
afterEach(() => rm(folder, { recursive: true }));

async function refusal(work: Promise<unknown>, code = "bad_weights"): Promise<ModelLoadError> {
  const error = await work.catch((reason: unknown) => reason);
  if (!ModelLoadError.is(error)) throw new Error(`expected a ModelLoadError, got ${String(error)}`);
  expect(error.code).toBe(code);
  expect(error.message).toContain(file);
  expect(error.hint).toMatch(/download|Choose/);
  return error;
}

async function read(parts: GgufParts) {
  await writeFile(file, ggufBytes(parts));
  return readGgufHeader(file);
}

const tensor = (name: string, offset: bigint, shape = [8n], type = 0) => ({
  name,
  shape,
  type,
  offset,
});

test("reads values of every type, and where tensors lie", async () => {
  const header = await read({
    values: [
      ["a.uint8", 0, 255],
      ["a.int8", 1, -1],
      ["a.uint16", 2, 65535],
      ["a.int16", 3, -2],
      ["a.uint32", 4, 4294967295],
      ["a.int32", 5, -3],
      ["a.float32", 6, 1e-5],
      ["a.bool", 7, 1],
      ["a.string", 8, "ünï"],
      ["a.list", 9, list(8, ["x", "", "yy"])],
      ["a.numbers", 9, list(6, [0.5, -1])],
      ["a.uint64", 10, 5n],
      ["a.int64", 11, -5n],
      ["a.float64", 12, 0.1],
    ],
    tensors: [tensor("b", 32n, [32n, 2n], 8), tensor("a", 0n)],
    data: 32 + 68,
  });
  const metadata = new GgufMetadata(header);
  const numbers = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"];
  expect(numbers.map((type) => metadata.number(`a.${type}`))).toEqual([
    255, -1, 65535, -2, 4294967295, -3, 1e-5,
  ]);
  expect([metadata.number("a.uint64"), metadata.number("a.int64")]).toEqual([5, -5]);
  expect([metadata.number("a.float64"), metadata.flag("a.bool")]).toEqual([0.1, true]);
  expect(metadata.text("a.string")).toBe("ünï");
  expect(metadata.strings("a.list")).toEqual(["x", "", "yy"]);
  expect(metadata.numbers("a.numbers")).toEqual([0.5, -1]);
  expect(metadata.text("absent")).toBeUndefined();
  expect(header.tensors.get("b")).toEqual({ type: "Q8_0", shape: [2, 32], begin: 32, end: 100 });
  expect(header.dataOffset % 32).toBe(0);
  expect(() => metadata.number("a.string")).toThrow('has "a.string" that is not a number');
});

test("keeps to the alignment that the file names", async () => {
  const values: GgufParts["values"] = [["general.alignment", 4, 256]];
  const header = await read({ values, tensors: [tensor("a", 256n)], alignment: 256, data: 288 });
  expect(header.dataOffset % 256).toBe(0);
  const unaligned = read({ values, tensors: [tensor("a", 32n)], alignment: 256, data: 64 });
  expect((await refusal(unaligned)).message).toContain("begins at 32, no multiple of 256");
});

const wrong: [title: string, parts: GgufParts, message: string][] = [
  ["another magic", { magic: "GGML" }, 'no "GGUF" begins it'],
  ["version 1", { version: 1 }, "has version 1 of GGUF; known ones are 2 and 3"],
  ["a big-endian version", { version: 0x03000000 }, "has version 50331648 of GGUF"],
  ["more values than it has", { valueCount: 2n ** 63n }, "the name of a value with 0 bytes"],
  ["more tensors than it has", { tensorCount: 10n ** 12n }, "the name of a tensor with 0 bytes"],
  ["a value without a name", { values: [["", 4, 1]] }, "the name of a value with 0 bytes"],
  [
    "a value twice",
    {
      values: [
        ["a", 4, 1],
        ["a", 4, 2],
      ],
    },
    'has "a" twice',
  ],
  ["a value of an unknown type", { values: [["a", 13, ""]] }, 'gives "a" the unknown type 13'],
  ["lists in a list", { values: [["a", 9, list(9, [])]] }, 'gives "a" the unknown type 9'],
  [
    "a list of too many items",
    { values: [["a", 9, { type: 8, items: [], count: 2n ** 40n }]] },
    "has a list of 1099511627776 items",
  ],
  [
    "a list that goes on after the end",
    { values: [["a", 9, { type: 0, items: [], count: 100_000n }]] },
    "is truncated",
  ],
  ["an alignment of 7", { values: [["general.alignment", 4, 7]] }, "is no multiple of 8: 7"],
  ["an alignment in words", { values: [["general.alignment", 8, "x"]] }, "no multiple of 8: x"],
  ["a tensor twice", { tensors: [tensor("a", 0n), tensor("a", 32n)] }, 'the tensor "a" twice'],
  ["no dimension", { tensors: [tensor("a", 0n, [])] }, "it has 0 dimensions"],
  ["five dimensions", { tensors: [tensor("a", 0n, [1n, 1n, 1n, 1n, 1n])] }, "it has 5 dimensions"],
  ["a size of 0", { tensors: [tensor("a", 0n, [0n])] }, "is not a list of sizes"],
  ["a size beyond 31 bits", { tensors: [tensor("a", 0n, [2n ** 31n])] }, "not a list of sizes"],
  [
    "an odd row",
    { tensors: [tensor("a", 0n, [33n], 8)] },
    "33 numbers are no whole blocks of Q8_0",
  ],
  ["an odd offset", { tensors: [tensor("a", 8n)] }, "begins at 8, no multiple of 32"],
  ["overlaps", { tensors: [tensor("a", 0n, [16n]), tensor("b", 32n)] }, '"b" begins within "a"'],
  ["data beyond its end", { tensors: [tensor("a", 64n)] }, "need 96 bytes of data"],
  [
    "an offset beyond any file",
    { tensors: [tensor("a", 2n ** 62n)] },
    "is truncated: its tensors need",
  ],
];

test.each(wrong)("refuses a file with %s", async (_, parts, message) => {
  const error = await refusal(read({ data: 64, ...parts }));
  expect(error.message).toContain(message);
});

test("refuses rows of more bytes than 31 bits count", async () => {
  const numbers = 2 ** 31 - 32;
  const parts = { tensors: [tensor("a", 0n, [BigInt(numbers)], 8)] };
  await writeFile(file, ggufBytes(parts));
  await truncate(file, (numbers / 32) * 34 + 4096);
  const error = await refusal(readGgufHeader(file));
  expect(error.message).toContain("its rows are 2281701342 bytes long");
});

test.each([
  [11, "Q3_K"],
  [20, "IQ4_NL"],
  [99, "number 99"],
])("names the tensor type %d that is not read, and what to choose", async (type, name) => {
  const tensors = [tensor("blk.0.ffn_up.weight", 0n, [256n], type)];
  const error = await refusal(read({ tensors, data: 512 }), "unsupported_weights");
  expect(error.message).toContain(`"blk.0.ffn_up.weight" has the type ${name}`);
  expect(error.hint).toContain("Q4_K_M or Q8_0");
});

test("refuses a file wherever it was cut off", async () => {
  const bytes = await readFile(fixture);
  await writeFile(file, bytes);
  const { dataOffset } = await readGgufHeader(file);
  for (const length of [bytes.length - 40, dataOffset, 5000, 700, 24, 23, 8, 4, 3, 0]) {
    await truncate(file, length);
    expect((await refusal(readGgufHeader(file))).message).toContain("is truncated");
  }
});

test("never fails otherwise than by name when bytes are wrong", async () => {
  const bytes = await readFile(fixture);
  const { dataOffset } = await readGgufHeader(fixture);
  let refused = 0;
  for (let round = 0; round < 150; round++) {
    const changed = Buffer.from(bytes);
    // A walk over the header that meets counts, types, names and tensors alike.
    const at = (round * 7919) % (round % 2 === 0 ? 600 : dataOffset);
    changed.writeUInt8((changed[at]! + 1 + ((round * 31) % 255)) % 256, at);
    await writeFile(file, changed);
    try {
      const header = await readGgufHeader(file);
      await configOfGguf(header);
      generationConfigOfGguf(header);
      tokenizerOfGguf(header);
      tokenizerConfigOfGguf(header);
      weightsOfGguf(header);
    } catch (error) {
      expect(ModelLoadError.is(error)).toBe(true);
      refused += 1;
    }
  }
  expect(refused).toBeGreaterThan(20);
});

test("refuses what is no file", async () => {
  expect((await refusal(readGgufHeader(file))).message).toContain("does not exist");
  file = folder;
  expect((await refusal(readGgufHeader(folder))).message).toContain("is not a regular file");
});

describe("the configuration", () => {
  const values: NonNullable<GgufParts["values"]> = [
    ["general.architecture", 8, "llama"],
    ["llama.embedding_length", 4, 64],
    ["llama.block_count", 4, 1],
    ["llama.attention.head_count", 4, 4],
    ["llama.feed_forward_length", 4, 32],
    ["llama.attention.layer_norm_rms_epsilon", 6, 1e-6],
    ["llama.context_length", 4, 128],
  ];
  const tensors = [tensor("token_embd.weight", 0n, [64n, 2n])];
  const config = async (changes: NonNullable<GgufParts["values"]>) => {
    const others = values.filter(([name]) => !changes.some(([changed]) => changed === name));
    return configOfGguf(await read({ values: [...others, ...changes], tensors, data: 512 }));
  };

  test("says what config.json would, in as few digits", async () => {
    expect(await config([])).toMatchObject({
      model_type: "llama",
      hidden_size: 64,
      num_key_value_heads: 4,
      head_dim: 16,
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      rope_scaling: null,
      vocab_size: 2,
      tie_word_embeddings: true,
      torch_dtype: "float32",
    });
  });

  test.each([
    ["linear", { rope_type: "linear", factor: 4 }],
    ["yarn", { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 }],
    ["none", null],
  ])("knows positions scaled by %s", async (type, expected) => {
    const scaled = await config([
      ["llama.rope.scaling.type", 8, type],
      ["llama.rope.scaling.factor", 6, 4],
      ["llama.rope.scaling.original_context_length", 4, 32],
    ]);
    expect(scaled.rope_scaling).toEqual(expected);
  });

  test("refuses factors of rotations that are not one for each", async () => {
    const factors = (shape: bigint[], type: number) => [
      ...tensors,
      tensor("rope_freqs.weight", 512n, shape, type),
    ];
    const with8 = await read({ values, tensors: factors([8n], 0), data: 1024 });
    expect((await configOfGguf(with8)).rope_scaling).toMatchObject({
      long_factor: Array(8).fill(0),
    });
    for (const [shape, type] of [
      [[64n], 0],
      [[4n, 2n], 0],
      [[8n], 1],
    ] as const) {
      const header = await read({ values, tensors: factors([...shape], type), data: 1024 });
      const { code, message } = await refusal(configOfGguf(header));
      expect(code).toBe("bad_weights");
      expect(message).toContain('has "rope_freqs.weight" that is not 8 numbers of F32');
    }
  });

  test.each<[string, NonNullable<GgufParts["values"]>[number], string, string?]>([
    ["another architecture", ["general.architecture", 8, "gemma3"], 'of the kind "gemma3"'],
    ["Mixtral", ["llama.expert_count", 4, 8], "with experts (Mixtral)"],
    ["one part of several", ["split.count", 2, 3], "is one of 3 parts of a model"],
    ["longrope", ["llama.rope.scaling.type", 8, "longrope"], 'scaled by "longrope"'],
    ["partial rotation", ["llama.rope.dimension_count", 4, 8], "differ in size"],
    ["a scale of logits", ["llama.logit_scale", 6, 0.5], 'has "llama.logit_scale"'],
    [
      "layers of many widths",
      ["llama.feed_forward_length", 9, list(4, [1])],
      "not a number",
      "bad_weights",
    ],
  ])("refuses %s", async (_, value, message, code = "unsupported_model_type") => {
    expect((await refusal(config([value]), code)).message).toContain(message);
  });

  test("names what is missing", async () => {
    const header = await read({ values: values.slice(0, 3), tensors, data: 512 });
    const error = await refusal(configOfGguf(header));
    expect(error.message).toContain('lacks "llama.attention.head_count"');
  });
});

describe("the tokenizer", () => {
  const values = (model: string, pre: string): NonNullable<GgufParts["values"]> => [
    ["tokenizer.ggml.model", 8, model],
    ["tokenizer.ggml.pre", 8, pre],
    ["tokenizer.ggml.tokens", 9, list(8, ["<|im_end|>", "a", "b", "ab"])],
    ["tokenizer.ggml.token_type", 9, list(5, [3, 1, 1, 1])],
    ["tokenizer.ggml.merges", 9, list(8, ["a b"])],
    ["tokenizer.ggml.eos_token_id", 4, 3],
  ];

  test.each([
    ["bert", "default", 'a tokenizer of the kind "bert"'],
    ["gpt2", "poro-chat", 'splits texts as "poro-chat" does'],
  ])("refuses the kind %s with %s", async (model, pre, message) => {
    const header = await read({ values: values(model, pre) });
    const work = async () => tokenizerOfGguf(header);
    expect((await refusal(work(), "bad_tokenizer")).message).toContain(message);
  });

  test("keeps named templates and all tokens that end a turn", async () => {
    const header = await read({
      values: [
        ...values("gpt2", "llama-bpe"),
        ["tokenizer.chat_template", 8, "plain"],
        ["tokenizer.chat_template.tool_use", 8, "tools"],
      ],
    });
    expect(generationConfigOfGguf(header).eos_token_id).toEqual([3, 0]);
    expect(tokenizerConfigOfGguf(header)).toMatchObject({
      add_bos_token: true,
      eos_token: "ab",
      chat_template: [
        { name: "default", template: "plain" },
        { name: "tool_use", template: "tools" },
      ],
    });
  });
});

describe("the weights", () => {
  test("are named as in checkpoints, and read as bytes where they are packed", async () => {
    const header = await readGgufHeader(fixture);
    const gguf = weightsOfGguf(header);
    expect(JSON.parse(gguf.header)["model.layers.1.self_attn.q_norm.weight"]).toMatchObject({
      dtype: "F32",
      shape: [16],
    });
    expect(JSON.parse(gguf.header)["model.embed_tokens.weight"].dtype).toBe("U8");
    expect(gguf.tensors["model.layers.0.mlp.down_proj.weight"]).toEqual({ type: "Q8_0" });
    expect(gguf.dtype).toBe("float16");
    expect(loadedBytes(header)).toBeGreaterThan(0);
  });

  test("refuse rows that are no whole heads", async () => {
    const header = await read({
      values: [
        ["general.architecture", 8, "llama"],
        ["llama.attention.head_count", 4, 3],
      ],
      tensors: [tensor("blk.0.attn_q.weight", 0n, [32n, 64n], 0)],
      data: 8192,
    });
    const work = async () => weightsOfGguf(header);
    expect((await refusal(work())).message).toContain(
      'has "blk.0.attn_q.weight" whose rows are no 3 heads',
    );
  });

  test.each([
    ["a name that nobody knows", "blk.0.attn_qkv.weight", [32n, 2n], "unknown tensor"],
    ["a packed vector", "output_norm.weight", [32n], "which is no matrix"],
  ])("refuse %s", async (_, name, shape, message) => {
    const header = await read({ tensors: [tensor(name, 0n, shape, 8)], data: 128 });
    const work = async () => weightsOfGguf(header);
    expect((await refusal(work())).message).toContain(message);
  });
});
