import { Batches, lazily } from "../src/batches.js";

async function* lists(...batches: number[][]) {
  yield* batches;
}

/** Doubles numbers; zero is an error. */
const doubling = {
  read(numbers: number[], made: number[]) {
    for (const number of numbers) {
      if (number === 0) throw new Error("zero");
      made.push(number * 2);
    }
  },
};

async function all<T>(batches: AsyncIterable<T[]>): Promise<T[][]> {
  const got: T[][] = [];
  for await (const batch of batches) got.push(batch);
  return got;
}

test("delivers what is made of each batch", async () => {
  const batches = new Batches(lists([1, 2], [3]), doubling);
  expect(await all(batches)).toEqual([[2, 4], [6]]);
});

test("leaves out batches of nothing", async () => {
  const odd = {
    read: (numbers: number[], made: number[]) => made.push(...numbers.filter((n) => n % 2)),
  };
  const batches = new Batches(lists([2], [4, 6], [1], []), odd);
  expect(await all(batches)).toEqual([[1]]);
});

test("delivers what is left at the end, once", async () => {
  let ends = 0;
  const reader = { ...doubling, end: (made: number[]) => made.push(++ends) };
  const batches = new Batches(lists([1]), reader);
  expect(await all(batches)).toEqual([[2], [1]]);
  expect(await batches.next()).toEqual({ done: true, value: undefined });
  expect(ends).toBe(1);
});

test("an error comes after what was made before it, and closes the source", async () => {
  let isClosed = false;
  async function* source() {
    try {
      yield [1, 0, 2];
      yield [3];
    } finally {
      isClosed = true;
    }
  }
  const batches = new Batches(source(), doubling);
  expect(await batches.next()).toEqual({ done: false, value: [2] });
  expect(isClosed).toBe(false);
  await expect(batches.next()).rejects.toThrow("zero");
  expect(isClosed).toBe(true);
  expect(await batches.next()).toEqual({ done: true, value: undefined });
});

test("an error at the end, or of the source itself, is thrown", async () => {
  const failing = {
    ...doubling,
    end() {
      throw new Error("cut");
    },
  };
  await expect(all(new Batches(lists([1]), failing))).rejects.toThrow("cut");
  async function* broken() {
    yield [1];
    throw new Error("broken");
  }
  const batches = new Batches(broken(), doubling);
  expect(await batches.next()).toEqual({ done: false, value: [2] });
  await expect(batches.next()).rejects.toThrow("broken");
});

test("leaving the loop closes the source", async () => {
  let isClosed = false;
  async function* source() {
    try {
      for (;;) yield [1];
    } finally {
      isClosed = true;
    }
  }
  for await (const _ of new Batches(source(), doubling)) break;
  expect(isClosed).toBe(true);
});

test("takes a failure of the source that does no harm for its end", async () => {
  const reader = { ...doubling, end: (made: number[]) => made.push(0), forgives: isCut };
  expect(await all(new Batches(failing(new Error("cut")), reader))).toEqual([[2], [0]]);
  const batches = new Batches(failing(new Error("other")), reader);
  expect(await batches.next()).toEqual({ done: false, value: [2] });
  await expect(batches.next()).rejects.toThrow("other");
});

test("who left while waiting hears of the end, not of the failure that leaving causes", async () => {
  let fail = (_error: Error) => {};
  const source = {
    next: () => new Promise<never>((_, reject) => (fail = reject)),
    return: async () => {
      fail(new Error("left"));
      return { done: true as const, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
  const batches = new Batches(source, doubling);
  const waiting = batches.next();
  await batches.return();
  expect(await waiting).toEqual({ done: true, value: undefined });
});

test("opens a source when it is first read, and closes what it opened", async () => {
  const log: string[] = [];
  async function* source() {
    try {
      log.push("read");
      yield 1;
      yield 2;
    } finally {
      log.push("closed");
    }
  }
  const values = lazily(async () => {
    log.push("opened");
    return source();
  });
  expect(log).toEqual([]);
  for await (const value of values) {
    expect(value).toBe(1);
    break;
  }
  expect(log).toEqual(["opened", "read", "closed"]);
  expect(await lazily(() => Promise.reject(new Error("never"))).return?.()).toMatchObject({
    done: true,
  });
});

function isCut(error: unknown): boolean {
  return (error as Error).message === "cut";
}

async function* failing(error: Error) {
  yield [1];
  throw error;
}
