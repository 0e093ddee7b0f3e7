import { ModelCache } from "../src/model-cache.js";
import type { ModelInfo } from "../src/types.js";

class Shelf {
  lookUps = 0;
  failure: Error | undefined;

  readonly lookUp = async (): Promise<ModelInfo[]> => {
    this.lookUps += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (this.failure) throw this.failure;
    return [{ id: `model-${this.lookUps}`, provider: "mlx", object: "model" }];
  };
}

test("a list is looked up once while it is fresh", async () => {
  const shelf = new Shelf();
  const cache = new ModelCache(shelf.lookUp, 60);
  const [first, second] = await Promise.all([cache.get(), cache.get()]);
  expect(first).toEqual(second);
  await cache.get();
  expect(shelf.lookUps).toBe(1);
});

test("a list is looked up again when it is old, unwanted or cleared", async () => {
  const shelf = new Shelf();
  const expired = new ModelCache(shelf.lookUp, 0);
  await expired.get();
  await expired.get();
  expect(shelf.lookUps).toBe(2);

  const cache = new ModelCache(shelf.lookUp, 60);
  await cache.get();
  await cache.get({ useCache: false });
  cache.clear();
  await cache.get();
  expect(shelf.lookUps).toBe(5);
});

test("changing a list does not change what others get", async () => {
  const cache = new ModelCache(new Shelf().lookUp, 60);
  (await cache.get()).pop();
  expect(await cache.get()).toHaveLength(1);
});

test("a failure is not remembered", async () => {
  const shelf = new Shelf();
  shelf.failure = new Error("disk");
  const cache = new ModelCache(shelf.lookUp, 60);
  await expect(cache.get()).rejects.toThrow("disk");
  shelf.failure = undefined;
  expect(await cache.get()).toHaveLength(1);
});
