import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelLoadError } from "../../src/errors.js";
import { readSafetensorsHeader } from "../../src/mlx/safetensors.js";
import { writeSafetensors } from "../helpers/safetensors-file.js";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "safetensors-"));
  file = join(folder, "model.safetensors");
});
afterEach(() => rm(folder, { recursive: true }));

const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

async function refusal(path = file): Promise<ModelLoadError> {
  const error = await readSafetensorsHeader(path).catch((reason: unknown) => reason);
  if (!ModelLoadError.is(error)) throw new Error(`expected a ModelLoadError, got ${String(error)}`);
  expect(error.code).toBe("bad_weights");
  expect(error.message).toContain(path);
  expect(error.hint).toMatch(/download it again/);
  return error;
}

test("reads tensors, whatever their order and padding", async () => {
  const header = {
    b: entry(8, 16, [2, 1]),
    __metadata__: { format: "mlx" },
    a: entry(0, 8, [1, 2]),
    empty: entry(16, 16, [0, 7]),
    scalar: entry(16, 18, [], "BF16"),
  };
  await writeSafetensors(file, `${JSON.stringify(header)}   `, new Uint8Array(18));
  const { tensors, dataBytes } = await readSafetensorsHeader(file);
  expect([...tensors.keys()]).toEqual(["b", "a", "empty", "scalar"]);
  expect(tensors.get("a")).toEqual({ dtype: "F32", shape: [1, 2], begin: 0, end: 8 });
  expect(dataBytes).toBe(18);
});

test.each([
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["F8_E4M3", 1],
  ["F8_E8M0", 1],
  ["U16", 2],
  ["I16", 2],
  ["F16", 2],
  ["BF16", 2],
  ["U32", 4],
  ["I32", 4],
  ["F32", 4],
  ["U64", 8],
  ["I64", 8],
  ["C64", 8],
])("knows that an element of %s has %d bytes", async (dtype, bytes) => {
  await writeSafetensors(file, { x: entry(0, 3 * bytes, [3], dtype) }, new Uint8Array(3 * bytes));
  await expect(readSafetensorsHeader(file)).resolves.toMatchObject({ dataBytes: 3 * bytes });
});

test("a tensor may be named like a property of objects", async () => {
  const header = `{"__proto__":${JSON.stringify(entry(0, 4))},"constructor":${JSON.stringify(entry(4, 8))}}`;
  await writeSafetensors(file, header, new Uint8Array(8));
  const { tensors } = await readSafetensorsHeader(file);
  expect([...tensors.keys()]).toEqual(["__proto__", "constructor"]);
  expect(Object.prototype).not.toHaveProperty("dtype");
});

test("a truncated file is refused with the expected and the real size", async () => {
  await writeSafetensors(file, { a: entry(0, 64), b: entry(64, 128) }, new Uint8Array(128));
  const { size } = (await import("node:fs")).statSync(file);
  await truncate(file, size - 28);
  expect((await refusal()).message).toContain(
    'is truncated: its tensors need 128 bytes of data, and it has 100 ("b" ends last)',
  );
});

test("a file that ends within its header is refused", async () => {
  await writeSafetensors(file, { a: entry(0, 4) }, new Uint8Array(4));
  await truncate(file, 20);
  expect((await refusal()).message).toMatch(
    /is truncated: its header needs \d+ bytes, and the file has 20/,
  );
});

test.each([0, 1, 7])("a file of %d bytes is refused", async (size) => {
  await writeFile(file, new Uint8Array(size));
  expect((await refusal()).message).toContain(`is truncated: ${size} bytes`);
});

test("an absurd header length is refused without reading it", async () => {
  await writeFile(file, Buffer.from("ffffffffffffff7f7b7d", "hex"));
  expect((await refusal()).message).toContain("its header would have 9223372036854775807 bytes");
});

test.each([
  ["not JSON", "{]", "has a header that is not JSON"],
  ["a list", "[1]", "is not a JSON object"],
  ["null", "null", "is not a JSON object"],
])("a header that is %s is refused", async (_title, header, reason) => {
  await writeSafetensors(file, header);
  expect((await refusal()).message).toContain(reason);
});

test("a header that is not UTF-8 is refused", async () => {
  await writeFile(file, Buffer.from("0400000000000000" + "7b22ff7d", "hex"));
  expect((await refusal()).message).toContain("not UTF-8");
});

test.each([
  ["an unknown type", { a: entry(0, 8, [1], "F64") }, 'its type "F64" is none of BOOL U8'],
  ["no type", { a: { shape: [1], data_offsets: [0, 4] } }, "its type undefined is none of"],
  ["a negative size", { a: entry(0, 4, [-1]) }, "its shape [-1] is not a list of sizes"],
  ["a fractional size", { a: entry(0, 4, [0.5]) }, "its shape [0.5]"],
  ["a size beyond 32 bits", { a: entry(0, 0, [2 ** 31, 0]) }, "its shape [2147483648,0]"],
  ["no shape", { a: { dtype: "F32", data_offsets: [0, 4] } }, "its shape undefined"],
  ["one offset", { a: { dtype: "F32", shape: [1], data_offsets: [4] } }, "its data_offsets [4]"],
  ["turned offsets", { a: entry(4, 0, [1]) }, "its data_offsets [4,0]"],
  [
    "too few bytes",
    { a: entry(0, 8, [3]) },
    "shape [3] of F32 needs 12 bytes, and its data_offsets give 8",
  ],
  ["an overflowing shape", { a: entry(0, 8, Array(9).fill(2 ** 31 - 1)) }, "needs "],
  ["no object", { a: 7 }, "it is not an object"],
])("a tensor with %s is refused by name", async (_title, header, reason) => {
  await writeSafetensors(file, header, new Uint8Array(8));
  const { message } = await refusal();
  expect(message).toContain('bad entry for tensor "a"');
  expect(message).toContain(reason);
});

test.each([
  ["overlapping tensors", { a: entry(0, 8), b: entry(4, 12) }, '"b" begins within "a"'],
  [
    "a gap between tensors",
    { a: entry(0, 4), b: entry(8, 12) },
    'no tensor owns the bytes 4 to 8 of its data, before "b"',
  ],
  ["a gap at the start", { a: entry(4, 12) }, "no tensor owns the bytes 0 to 4"],
  ["bytes after the last tensor", { a: entry(0, 8) }, "has 4 bytes after its last tensor"],
  ["metadata that is not text", { __metadata__: { a: 1 } }, "not an object of strings"],
])("a file with %s is refused", async (_title, header, reason) => {
  await writeSafetensors(file, header, new Uint8Array(12));
  expect((await refusal()).message).toContain(reason);
});

test("a tensor that is named twice is refused", async () => {
  const header = `{"a":${JSON.stringify(entry(0, 4))},"a":${JSON.stringify(entry(4, 8))}}`;
  await writeSafetensors(file, header, new Uint8Array(8));
  expect((await refusal()).message).toContain("no tensor owns the bytes 0 to 4");
});

test("a missing file and a folder are refused", async () => {
  expect((await refusal()).message).toContain("does not exist");
  expect((await refusal(folder)).message).toMatch(/is not a regular file|cannot be read/);
});

const countsHandles = process.platform === "linux" ? test : test.skip;
countsHandles("no file stays open after success or failure", async () => {
  const before = (await readdir("/proc/self/fd")).length;
  await writeSafetensors(file, { a: entry(0, 4) }, new Uint8Array(4));
  const broken = await writeSafetensors(join(folder, "broken"), "[]");
  for (let i = 0; i < 20; i++) {
    await readSafetensorsHeader(file);
    await readSafetensorsHeader(broken).catch(() => undefined);
  }
  expect((await readdir("/proc/self/fd")).length).toBeLessThan(before + 5);
});
