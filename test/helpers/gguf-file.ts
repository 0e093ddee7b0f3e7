/** What a GGUF file is made of, so that tests can make it lie. */
export interface GgufParts {
  magic?: string;
  version?: number;
  tensorCount?: bigint;
  valueCount?: bigint;
  values?: [name: string, type: number, value: Value][];
  tensors?: { name: string; shape: bigint[]; type: number; offset: bigint }[];
  alignment?: number;
  /** Bytes of data. */
  data?: number;
}

interface List {
  type: number;
  items: (number | string)[];
  /** What the file says, if that is something else. */
  count?: bigint;
}

type Value = number | bigint | string | List;

/** A list of a header. */
export function list(type: number, items: (number | string)[]): List {
  return { type, items };
}

/** A GGUF file. */
export function ggufBytes({
  magic = "GGUF",
  version = 3,
  values = [],
  tensors = [],
  tensorCount = BigInt(tensors.length),
  valueCount = BigInt(values.length),
  alignment = 32,
  data = 0,
}: GgufParts): Buffer {
  const parts = [Buffer.from(magic), uint32(version), uint64(tensorCount), uint64(valueCount)];
  for (const [name, type, value] of values) {
    parts.push(string(name), uint32(type), valueBytes(type, value));
  }
  for (const { name, shape, type, offset } of tensors) {
    parts.push(string(name), uint32(shape.length), ...shape.map(uint64), uint32(type));
    parts.push(uint64(offset));
  }
  const header = Buffer.concat(parts);
  const padding = Buffer.alloc((alignment - (header.length % alignment)) % alignment);
  return Buffer.concat([header, padding, Buffer.alloc(data)]);
}

function valueBytes(type: number, value: Value): Buffer {
  if (typeof value === "string") return string(value);
  if (typeof value !== "object") return number(type, value);
  const { type: itemType, items, count = BigInt(items.length) } = value;
  const bytes = items.map((item) => valueBytes(itemType, item));
  return Buffer.concat([uint32(itemType), uint64(count), ...bytes]);
}

function number(type: number, value: number | bigint): Buffer {
  const view = new DataView(new ArrayBuffer(8));
  const [bytes, write] = WRITERS[type]!;
  write(view, value as never);
  return Buffer.from(view.buffer, 0, bytes);
}

const WRITERS: Record<number, [bytes: number, write: (view: DataView, value: never) => void]> = {
  0: [1, (view, value) => view.setUint8(0, value)],
  1: [1, (view, value) => view.setInt8(0, value)],
  2: [2, (view, value) => view.setUint16(0, value, true)],
  3: [2, (view, value) => view.setInt16(0, value, true)],
  4: [4, (view, value) => view.setUint32(0, value, true)],
  5: [4, (view, value) => view.setInt32(0, value, true)],
  6: [4, (view, value) => view.setFloat32(0, value, true)],
  7: [1, (view, value) => view.setUint8(0, value)],
  10: [8, (view, value) => view.setBigUint64(0, value, true)],
  11: [8, (view, value) => view.setBigInt64(0, value, true)],
  12: [8, (view, value) => view.setFloat64(0, value, true)],
};

function uint32(value: number): Buffer {
  return number(4, value);
}

function uint64(value: bigint): Buffer {
  return number(10, value);
}

function string(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint64(BigInt(bytes.length)), bytes]);
}
