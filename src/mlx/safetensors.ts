import type { FileHandle } from "node:fs/promises";
import { ModelLoadError } from "../errors.js";
import { openRegular, readExactly, whyUnread } from "../regular-file.js";
import { isObject } from "./json-file.js";

/** Where one tensor lies in a safetensors file. */
export interface TensorEntry {
  dtype: string;
  shape: number[];
  /** First byte and the byte after the last, counted from the start of the file's data. */
  begin: number;
  end: number;
}

/** A validated header; `tensors` is a map so that a tensor may have any name. */
export interface SafetensorsHeader {
  tensors: Map<string, TensorEntry>;
  /** What the file says of itself. */
  metadata: Map<string, string>;
  /** Where in the file its data begins. */
  dataOffset: number;
  dataBytes: number;
}

/** Bytes per element of the types that MLX reads; a file with any other type is refused by it. */
const DTYPE_BYTES = new Map(
  Object.entries({
    BOOL: 1,
    U8: 1,
    I8: 1,
    F8_E4M3: 1,
    F8_E8M0: 1,
    U16: 2,
    I16: 2,
    F16: 2,
    BF16: 2,
    U32: 4,
    I32: 4,
    F32: 4,
    U64: 8,
    I64: 8,
    C64: 8,
  }),
);

const LENGTH_BYTES = 8;
/** The format's own bound. */
const MAX_HEADER_BYTES = 100_000_000;
/** MLX keeps a dimension in 32 bits. */
const MAX_DIMENSION = 2 ** 31 - 1;

/**
 * Reads and checks the header of a safetensors file without reading its data.
 * MLX trusts a header, so everything that could make it read wrong bytes is refused here.
 *
 * @example
 * const { tensors } = await readSafetensorsHeader("model.safetensors");
 * tensors.get("lm_head.weight")?.shape; // [32000, 512]
 */
export async function readSafetensorsHeader(file: string): Promise<SafetensorsHeader> {
  let handle: FileHandle | undefined;
  try {
    handle = await openRegular(file);
    const { size } = await handle.stat();
    const headerBytes = await readHeaderLength(handle, file, size);
    const text = await readHeaderText(handle, file, headerBytes);
    const dataOffset = LENGTH_BYTES + headerBytes;
    return { ...checkHeader(file, text, size - dataOffset), dataOffset };
  } catch (error) {
    if (error instanceof ModelLoadError) throw error;
    throw badWeights(file, whyUnread(error), error);
  } finally {
    await handle?.close();
  }
}

async function readHeaderLength(handle: FileHandle, file: string, size: number): Promise<number> {
  if (size < LENGTH_BYTES) {
    throw badWeights(file, `is truncated: ${size} bytes, and a safetensors file has at least 8`);
  }
  const bytes = await readExactly(handle, 0, LENGTH_BYTES);
  const length = bytes.readBigUInt64LE();
  if (length < 2n || length > BigInt(MAX_HEADER_BYTES)) {
    throw badWeights(file, `is not a safetensors file: its header would have ${length} bytes`);
  }
  if (LENGTH_BYTES + Number(length) > size) {
    throw badWeights(
      file,
      `is truncated: its header needs ${LENGTH_BYTES + Number(length)} bytes, and the file has ${size}`,
    );
  }
  return Number(length);
}

async function readHeaderText(handle: FileHandle, file: string, length: number): Promise<string> {
  const bytes = await readExactly(handle, LENGTH_BYTES, length);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw badWeights(file, "has a header that is not UTF-8", error);
  }
}

function checkHeader(
  file: string,
  text: string,
  dataBytes: number,
): Omit<SafetensorsHeader, "dataOffset"> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw badWeights(file, "has a header that is not JSON", error);
  }
  if (!isObject(header)) throw badWeights(file, "has a header that is not a JSON object");

  const { __metadata__: about = {}, ...entries } = header;
  const metadata = checkMetadata(file, about);
  const tensors = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(entries)) {
    tensors.set(name, checkTensor(file, name, value));
  }
  checkLayout(file, tensors, dataBytes);
  return { tensors, metadata, dataBytes };
}

function checkMetadata(file: string, value: unknown): Map<string, string> {
  if (!isObject(value) || Object.values(value).some((entry) => typeof entry !== "string")) {
    throw badWeights(file, "has a __metadata__ that is not an object of strings");
  }
  return new Map(Object.entries(value as Record<string, string>));
}

function checkTensor(file: string, name: string, value: unknown): TensorEntry {
  const fail = (reason: string) =>
    badWeights(file, `has a bad entry for tensor "${name}": ${reason}`);
  if (!isObject(value)) throw fail("it is not an object");
  const { dtype, shape, data_offsets: offsets } = value;
  const elementBytes = typeof dtype === "string" ? DTYPE_BYTES.get(dtype) : undefined;
  if (elementBytes === undefined) {
    throw fail(`its type ${JSON.stringify(dtype)} is none of ${[...DTYPE_BYTES.keys()].join(" ")}`);
  }
  if (!isCounts(shape) || shape.some((dimension) => dimension > MAX_DIMENSION)) {
    throw fail(`its shape ${JSON.stringify(shape)} is not a list of sizes`);
  }
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw fail(`its data_offsets ${JSON.stringify(offsets)} are not a begin and an end`);
  }
  const [begin, end] = offsets as [number, number];
  const needed = shape.reduce((product, dimension) => product * dimension, elementBytes);
  if (end - begin !== needed) {
    throw fail(
      `shape [${shape.join(", ")}] of ${dtype} needs ${needed} bytes, ` +
        `and its data_offsets give ${end - begin}`,
    );
  }
  return { dtype: dtype as string, shape, begin, end };
}

/** The tensors must cover the data exactly, one after another; a name given twice shows as a gap. */
function checkLayout(file: string, tensors: Map<string, TensorEntry>, dataBytes: number): void {
  const ordered = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let previous = "the header";
  let covered = 0;
  for (const [name, { begin, end }] of ordered) {
    if (begin < covered) {
      throw badWeights(file, `has overlapping tensors: "${name}" begins within ${previous}`);
    }
    if (begin > covered) {
      throw badWeights(
        file,
        `has a gap: no tensor owns the bytes ${covered} to ${begin} of its data, before "${name}"`,
      );
    }
    previous = `"${name}"`;
    covered = end;
  }
  if (covered > dataBytes) {
    throw badWeights(
      file,
      `is truncated: its tensors need ${covered} bytes of data, and it has ${dataBytes} ` +
        `(${previous} ends last)`,
    );
  }
  if (covered < dataBytes) {
    throw badWeights(file, `has ${dataBytes - covered} bytes after its last tensor`);
  }
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function badWeights(file: string, reason: string, cause?: unknown): ModelLoadError {
  return new ModelLoadError(`${file} ${reason}.`, {
    code: "bad_weights",
    hint: "The download may be incomplete or damaged: delete this file and download it again.",
    cause,
  });
}
