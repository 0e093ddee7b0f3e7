import type { FileHandle } from "node:fs/promises";
import { ModelLoadError } from "../errors.js";
import { openRegular, readExactly, whyUnread } from "../regular-file.js";
import { SharedByFiles } from "./shared-by-files.js";

/** What the header of a GGUF file says under one name. */
export type GgufValue = number | boolean | string | GgufList;

/** A list of a header; it is decoded when it is asked for: a vocabulary is long. */
export interface GgufList {
  strings(): string[] | undefined;
  numbers(): number[] | undefined;
}

/** Where one tensor lies in a GGUF file, and how it is packed. */
export interface GgufTensor {
  type: string;
  /** Outermost axis first. */
  shape: number[];
  /** First byte and the byte after the last, counted from the start of the file's data. */
  begin: number;
  end: number;
}

/** A validated header. */
export interface GgufHeader {
  file: string;
  metadata: Map<string, GgufValue>;
  tensors: Map<string, GgufTensor>;
  /** Where the data begins. */
  dataOffset: number;
}

/** Numbers and bytes of a block. */
const TYPES = new Map<number, [name: string, numbers: number, bytes: number]>([
  [0, ["F32", 1, 4]],
  [1, ["F16", 1, 2]],
  [2, ["Q4_0", 32, 18]],
  [3, ["Q4_1", 32, 20]],
  [6, ["Q5_0", 32, 22]],
  [7, ["Q5_1", 32, 24]],
  [8, ["Q8_0", 32, 34]],
  [12, ["Q4_K", 256, 144]],
  [13, ["Q5_K", 256, 176]],
  [14, ["Q6_K", 256, 210]],
  [30, ["BF16", 1, 2]],
]);
/** Types that are refused, to name them. */
const OTHER_TYPES: Record<number, string> = {
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
  40: "NVFP4",
  41: "Q1_0",
};

/** How numbers are written, by the type that a header gives them. */
const NUMBERS = new Map<number, [bytes: number, read: (buffer: Buffer, at: number) => number]>([
  [0, [1, (buffer, at) => buffer.readUInt8(at)]],
  [1, [1, (buffer, at) => buffer.readInt8(at)]],
  [2, [2, (buffer, at) => buffer.readUInt16LE(at)]],
  [3, [2, (buffer, at) => buffer.readInt16LE(at)]],
  [4, [4, (buffer, at) => buffer.readUInt32LE(at)]],
  [5, [4, (buffer, at) => buffer.readInt32LE(at)]],
  [6, [4, (buffer, at) => buffer.readFloatLE(at)]],
  [7, [1, (buffer, at) => buffer.readUInt8(at)]],
  [10, [8, (buffer, at) => Number(buffer.readBigUInt64LE(at))]],
  [11, [8, (buffer, at) => Number(buffer.readBigInt64LE(at))]],
  [12, [8, (buffer, at) => buffer.readDoubleLE(at)]],
]);
const BOOL = 7;
const STRING = 8;
const LIST = 9;

const VERSIONS = [2, 3];
/** What is read at first; most headers are longer, as they hold the vocabulary. */
const FIRST_READ = 4 * 1024 * 1024;
/** Many times what the largest vocabularies take. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024;
const MAX_NAME_BYTES = 65_535;
/** More than any vocabulary has. */
const MAX_LIST = 2 ** 24;
const MAX_DIMENSIONS = 4;
/** MLX keeps a dimension in 32 bits; the rows of packed types become bytes. */
const MAX_DIMENSION = 2 ** 31 - 1;
const MAX_ALIGNMENT = 65_536;

/** Whether a path is that of a GGUF file, by its name. */
export function isGgufFile(path: string): boolean {
  return /\.gguf$/i.test(path);
}

/** Loading a model asks for it several times, and it may hold a vocabulary. */
const shared = new SharedByFiles<GgufHeader>();

/**
 * Reads and checks the header of a GGUF file without reading its data: everything that could make
 * the engine read wrong bytes is refused here.
 *
 * @example
 * const { metadata, tensors } = await readGgufHeader("model-Q4_K_M.gguf");
 * metadata.get("general.architecture"); // "llama"
 */
export function readGgufHeader(file: string): Promise<GgufHeader> {
  return shared.get([file], () => readFrom(file));
}

async function readFrom(file: string): Promise<GgufHeader> {
  let handle: FileHandle | undefined;
  try {
    handle = await openRegular(file);
    return await readHeader(handle, file, (await handle.stat()).size);
  } catch (error) {
    if (error instanceof ModelLoadError) throw error;
    throw badGguf(file, whyUnread(error), error);
  } finally {
    await handle?.close();
  }
}

/** The numbers of a float32 tensor. */
export async function readFloats(
  { file, dataOffset }: GgufHeader,
  { begin, end }: GgufTensor,
): Promise<number[]> {
  const handle = await openRegular(file);
  try {
    const bytes = await readExactly(handle, dataOffset + begin, end - begin);
    return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
  } finally {
    await handle.close();
  }
}

/** Its length is only known once it was read: so more is read until it is enough. */
async function readHeader(handle: FileHandle, file: string, size: number): Promise<GgufHeader> {
  for (let length = FIRST_READ; ; length *= 4) {
    const bytes = await readExactly(handle, 0, Math.min(length, size, MAX_HEADER_BYTES));
    try {
      return parseHeader(new Cursor(bytes, file), size);
    } catch (error) {
      if (!(error instanceof OutOfBytes)) throw error;
      if (bytes.length === size) {
        throw badGguf(file, `is truncated: its header goes on after its ${size} bytes`);
      }
      if (bytes.length === MAX_HEADER_BYTES) {
        throw badGguf(file, `has a header of more than ${MAX_HEADER_BYTES} bytes`);
      }
    }
  }
}

class OutOfBytes extends Error {}

/** Reads one thing after another; never beyond the end. */
class Cursor {
  readonly #bytes: Buffer;
  readonly file: string;
  position = 0;

  constructor(bytes: Buffer, file: string) {
    this.#bytes = bytes;
    this.file = file;
  }

  /** Goes on by so many bytes; returns where they begin. */
  skip(length: number): number {
    const start = this.position;
    if (length > this.#bytes.length - start) throw new OutOfBytes();
    this.position += length;
    return start;
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.skip(4));
  }

  /** Larger numbers than JavaScript counts exactly are beyond the end of any file. */
  count(): number {
    const start = this.skip(8);
    return this.#bytes.readUInt32LE(start) + this.#bytes.readUInt32LE(start + 4) * 2 ** 32;
  }

  string(): string {
    const length = this.count();
    const start = this.skip(length);
    return this.#bytes.toString("utf8", start, start + length);
  }

  name(what: string): string {
    const before = this.position;
    const length = this.count();
    if (length === 0 || length > MAX_NAME_BYTES) {
      throw badGguf(this.file, `has the name of a ${what} with ${length} bytes`);
    }
    this.position = before;
    return this.string();
  }

  value(name: string): GgufValue {
    const type = this.uint32();
    if (type === STRING) return this.string();
    if (type === LIST) return this.list(name);
    const [bytes, read] = this.numberType(type, name);
    const number = read(this.#bytes, this.skip(bytes));
    return type === BOOL ? number !== 0 : number;
  }

  list(name: string): GgufList {
    const type = this.uint32();
    const length = this.count();
    const start = this.position;
    if (length > MAX_LIST) throw badGguf(this.file, `has a list of ${length} items in "${name}"`);
    if (type === STRING) {
      for (let index = 0; index < length; index++) this.skip(this.count());
      return { strings: () => this.at(start).strings(length), numbers: () => undefined };
    }
    const [bytes, read] = this.numberType(type, name);
    this.skip(length * bytes);
    const numbers = () =>
      Array.from({ length }, (_, index) => read(this.#bytes, start + index * bytes));
    return { strings: () => (length === 0 ? [] : undefined), numbers };
  }

  at(position: number): Cursor {
    const cursor = new Cursor(this.#bytes, this.file);
    cursor.position = position;
    return cursor;
  }

  strings(length: number): string[] {
    return Array.from({ length }, () => this.string());
  }

  numberType(type: number, name: string) {
    const known = NUMBERS.get(type);
    if (!known) throw badGguf(this.file, `gives "${name}" the unknown type ${type}`);
    return known;
  }
}

function parseHeader(cursor: Cursor, size: number): GgufHeader {
  const { file } = cursor;
  if (cursor.uint32() !== 0x46554747)
    throw badGguf(file, 'is not a GGUF file: no "GGUF" begins it');
  const version = cursor.uint32();
  if (!VERSIONS.includes(version)) {
    throw badGguf(file, `has version ${version} of GGUF; known ones are ${VERSIONS.join(" and ")}`);
  }
  const tensorCount = cursor.count();
  const valueCount = cursor.count();
  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < valueCount; index++) {
    const name = cursor.name("value");
    if (metadata.has(name)) throw badGguf(file, `has "${name}" twice`);
    metadata.set(name, cursor.value(name));
  }
  const alignment = checkAlignment(file, metadata.get("general.alignment") ?? 32);
  const tensors = new Map<string, GgufTensor>();
  for (let index = 0; index < tensorCount; index++) {
    const name = cursor.name("tensor");
    if (tensors.has(name)) throw badGguf(file, `has the tensor "${name}" twice`);
    tensors.set(name, readTensor(cursor, name, alignment));
  }
  const dataOffset = Math.ceil(cursor.position / alignment) * alignment;
  checkLayout(file, tensors, Math.max(size - dataOffset, 0));
  return { file, metadata, tensors, dataOffset };
}

function checkAlignment(file: string, value: GgufValue): number {
  if (typeof value === "number" && value >= 8 && value <= MAX_ALIGNMENT && value % 8 === 0) {
    return value;
  }
  throw badGguf(file, `has a general.alignment that is no multiple of 8: ${String(value)}`);
}

function readTensor(cursor: Cursor, name: string, alignment: number): GgufTensor {
  const fail = (reason: string) =>
    badGguf(cursor.file, `has a bad entry for tensor "${name}": ${reason}`);
  const dimensions = cursor.uint32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) throw fail(`it has ${dimensions} dimensions`);
  // The innermost comes first.
  const shape = Array.from({ length: dimensions }, () => cursor.count()).reverse();
  if (shape.some((size) => size < 1 || size > MAX_DIMENSION)) {
    throw fail(`its shape [${shape.join(", ")}] is not a list of sizes`);
  }
  const typeId = cursor.uint32();
  const begin = cursor.count();
  const known = TYPES.get(typeId);
  if (!known) throw unreadable(cursor.file, name, OTHER_TYPES[typeId] ?? `number ${typeId}`);
  const [type, numbers, bytes] = known;
  if (shape.at(-1)! % numbers !== 0) {
    throw fail(`rows of ${shape.at(-1)} numbers are no whole blocks of ${type}`);
  }
  const rowBytes = (shape.at(-1)! / numbers) * bytes;
  if (rowBytes > MAX_DIMENSION) throw fail(`its rows are ${rowBytes} bytes long`);
  if (begin % alignment !== 0) throw fail(`it begins at ${begin}, no multiple of ${alignment}`);
  const length = shape.reduce((product, size) => product * size, 1);
  return { type, shape, begin, end: begin + (length / numbers) * bytes };
}

function checkLayout(file: string, tensors: Map<string, GgufTensor>, dataBytes: number): void {
  const ordered = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let previous = "";
  let covered = 0;
  for (const [name, { begin, end }] of ordered) {
    if (begin < covered) {
      throw badGguf(file, `has overlapping tensors: "${name}" begins within "${previous}"`);
    }
    previous = name;
    covered = end;
  }
  if (covered > dataBytes) {
    throw badGguf(
      file,
      `is truncated: its tensors need ${covered} bytes of data, and it has ${dataBytes} ` +
        `("${previous}" ends last)`,
    );
  }
}

function unreadable(file: string, name: string, type: string): ModelLoadError {
  const known = [...TYPES.values()].map(([known]) => known).join(", ");
  return new ModelLoadError(`${file}: tensor "${name}" has the type ${type}, which is not read.`, {
    code: "unsupported_weights",
    url: file,
    hint: `Choose a file of the same model that is made of ${known}: Q4_K_M or Q8_0 for one.`,
  });
}

/** What is wrong with a GGUF file. */
export function badGguf(file: string, reason: string, cause?: unknown): ModelLoadError {
  return new ModelLoadError(`${file} ${reason}.`, {
    code: "bad_weights",
    url: file,
    hint: "The download may be incomplete or damaged: delete this file and download it again.",
    cause,
  });
}
