/** Bytes as one chunk each, in batches of one. */
export async function* batches(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array[]> {
  for (const chunk of chunks) yield [chunk];
}

/** Everything a reader delivers. */
export async function all<T>(read: AsyncIterable<T[]>): Promise<T[]> {
  const values: T[] = [];
  for await (const batch of read) values.push(...batch);
  return values;
}

/** The bytes cut in two, at every place. */
export function* cutOnce(bytes: Uint8Array): Generator<Uint8Array[]> {
  for (let at = 0; at <= bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
}

/** The bytes in pieces of random lengths, some of them empty; the same ones in each run. */
export function* cutOften(bytes: Uint8Array, times: number): Generator<Uint8Array[]> {
  let seed = 42;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  for (let time = 0; time < times; time++) {
    const longest = 2 + random(200);
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + random(longest);
      chunks.push(bytes.subarray(at, end));
      at = end;
    }
    yield chunks;
  }
}

/** The bytes one by one. */
export function cutAll(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
}
