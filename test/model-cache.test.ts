import { ModelCache } from "../src/model-cache.js";
import type { ModelInfo } from "../src/types.js";

class Shelf {
  lookUps = 0;
  failure: Error | undefined;

  readonly lookUp = async (): Promise<ModelInfo[]> => {
    this.lookUps += 1;
    const [count, failure] = [this.lookUps, this.failure];
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (failure) throw failure;
    return [{ id: `model-${count}`, provider: "mlx", object: "model", capabilities: ["tools"] }];
  };
}

let shelf: Shelf;
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate"] });
  shelf = new Shelf();
});
afterEach(() => {
  jest.useRealTimers();
});

const pass = (seconds: number) => jest.advanceTimersByTimeAsync(seconds * 1000);

/** What a cache gives; a look-up takes a tenth of a second. */
async function get(cache: ModelCache, options?: { useCache?: boolean }): Promise<string> {
  const getting = cache.get(options).then(
    ([model]) => model!.id,
    (error: Error) => error.message,
  );
  await pass(0.1);
  return getting;
}

test("a list is kept for its time, which begins when it is here", async () => {
  const cache = new ModelCache(shelf.lookUp, 60);
  expect(await get(cache)).toBe("model-1");
  await pass(59.8);
  expect(await get(cache)).toBe("model-1");
  await pass(0.2);
  expect(await get(cache)).toBe("model-2");
});

test("those who ask at the same time share one look-up, which may take longer than a list is kept", async () => {
  const cache = new ModelCache(shelf.lookUp, 0.01);
  const first = cache.get();
  await pass(0.05);
  const second = cache.get();
  await pass(0.05);
  expect(await Promise.all([first, second])).toMatchObject([
    [{ id: "model-1" }],
    [{ id: "model-1" }],
  ]);
  expect(shelf.lookUps).toBe(1);
});

test("with a time of 0 each list is looked up anew", async () => {
  const cache = new ModelCache(shelf.lookUp, 0);
  expect([await get(cache), await get(cache)]).toEqual(["model-1", "model-2"]);
});

test("a list is looked up again when it is unwanted or cleared", async () => {
  const cache = new ModelCache(shelf.lookUp, 60);
  await get(cache);
  expect(await get(cache, { useCache: false })).toBe("model-2");
  expect(await get(cache)).toBe("model-2");
  cache.clear();
  expect(await get(cache)).toBe("model-3");
});

test("a look-up that was under way at the clearing is not kept", async () => {
  const cache = new ModelCache(shelf.lookUp, 60);
  const old = get(cache);
  await pass(0.05);
  cache.clear();
  expect(await get(cache)).toBe("model-2");
  expect(await old).toBe("model-1");
  expect(await get(cache)).toBe("model-2");
});

test("changing a list does not change what others get", async () => {
  const cache = new ModelCache(shelf.lookUp, 60);
  const getting = cache.get();
  await pass(0.1);
  const list = await getting;
  list[0]!.capabilities!.push("spoiled");
  list.pop();
  expect(await cache.get()).toMatchObject([{ capabilities: ["tools"] }]);
});

test("a failure is kept for two seconds", async () => {
  shelf.failure = new Error("disk");
  const cache = new ModelCache(shelf.lookUp, 60);
  expect(await get(cache)).toBe("disk");
  shelf.failure = undefined;
  await pass(1.8);
  expect(await get(cache)).toBe("disk");
  await pass(0.2);
  expect(await get(cache)).toBe("model-2");
});

test("a failure is not kept for longer than a list would be, nor for those who want a new one", async () => {
  shelf.failure = new Error("disk");
  const brief = new ModelCache(shelf.lookUp, 0);
  const cache = new ModelCache(shelf.lookUp, 60);
  expect([await get(brief), await get(cache)]).toEqual(["disk", "disk"]);
  shelf.failure = undefined;
  expect(await get(brief)).toBe("model-3");
  expect(await get(cache, { useCache: false })).toBe("model-4");
});

test("a failure that nobody hears of is no unhandled rejection", async () => {
  shelf.failure = new Error("disk");
  const cache = new ModelCache(shelf.lookUp, 60);
  void cache.get().catch(() => undefined);
  cache.clear();
  await pass(1);
  expect(shelf.lookUps).toBe(1);
});
