import type { LoadedModel } from "../../src/mlx/model.js";
import { ModelPool, type WantedModel } from "../../src/mlx/model-pool.js";

/** Loads nothing, but notes what is loaded and freed. */
class Shelf {
  readonly log: string[] = [];
  failure: Error | undefined;

  readonly load = async (wanted: WantedModel, signal: AbortSignal): Promise<LoadedModel> => {
    const folder = [wanted.folder, wanted.quantize].join(" ").trim();
    this.log.push(`load ${folder}`);
    signal.addEventListener("abort", () => this.log.push(`stop ${folder}`));
    await pause(5);
    if (this.failure) throw this.failure;
    if (signal.aborted) throw signal.reason;
    return { close: () => this.log.push(`free ${folder}`) } as unknown as LoadedModel;
  };
}

function makePool(idleUnload?: number) {
  const shelf = new Shelf();
  const pool = new ModelPool(shelf.load, idleUnload);
  const signal = new AbortController().signal;
  return { shelf, pool, acquire: (folder: string) => pool.acquire({ folder }, signal) };
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test("those who ask at the same time or later share one load", async () => {
  const { shelf, acquire } = makePool();
  const leases = await Promise.all([acquire("a"), acquire("a")]);
  for (const lease of leases) lease.release();
  expect((await acquire("a")).model).toBe(leases[0].model);
  expect(shelf.log).toEqual(["load a"]);
});

test("a model is loaded once its load is done", async () => {
  const { pool, acquire } = makePool();
  const acquiring = acquire("a");
  expect(pool.isLoaded("a")).toBe(false);
  await acquiring;
  expect(pool.isLoaded("a")).toBe(true);
  expect(pool.isLoaded("b")).toBe(false);
});

test("a model that is to be quantized is another one", async () => {
  const { shelf, pool, acquire } = makePool();
  await acquire("a");
  await pool.acquire({ folder: "a", quantize: 4 }, new AbortController().signal);
  expect(shelf.log).toEqual(["load a", "load a 4"]);
});

test("a companion stays as long as the model, and leaves with it", async () => {
  const { shelf, pool, acquire } = makePool();
  const signal = new AbortController().signal;
  const [model, companion] = [{ folder: "model" }, { folder: "companion" }];
  for (let repeat = 0; repeat < 2; repeat++) {
    const leases = [await pool.acquire(model, signal, companion)];
    leases.push(await pool.acquire(companion, signal, model));
    for (const lease of leases) lease.release();
  }
  expect(shelf.log).toEqual(["load model", "load companion"]);
  await acquire("another");
  expect(shelf.log).toContain("free model");
  expect(shelf.log).toContain("free companion");
});

test("before another model is loaded, those that nobody uses are freed", async () => {
  const { shelf, pool, acquire } = makePool();
  await acquire("used");
  (await acquire("idle")).release();
  await acquire("another");
  const freed = ["stop idle", "free idle", "load another"];
  expect(shelf.log).toEqual(["load used", "load idle", ...freed]);
  expect(["used", "idle", "another"].map((name) => pool.isLoaded(name))).toEqual([
    true,
    false,
    true,
  ]);
});

test("of models that nobody uses any more, the one asked for last stays", async () => {
  const { shelf, pool, acquire } = makePool();
  const leases = await Promise.all([acquire("a"), acquire("b"), acquire("c")]);
  for (const lease of leases) lease.release();
  await pause(0);
  expect(shelf.log.filter((line) => line.startsWith("free"))).toEqual(["free a", "free b"]);
  expect(pool.isLoaded("c")).toBe(true);
});

test("releasing twice counts once", async () => {
  const { pool, acquire } = makePool();
  const first = await acquire("a");
  await acquire("a");
  first.release();
  first.release();
  await acquire("b");
  expect(pool.isLoaded("a")).toBe(true);
});

test("a failed load reaches all who wait, and is tried again", async () => {
  const { shelf, acquire } = makePool();
  shelf.failure = new Error("disk");
  const outcomes = await Promise.allSettled([acquire("a"), acquire("a")]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  shelf.failure = undefined;
  await acquire("a");
  expect(shelf.log).toEqual(["load a", "load a"]);
});

describe("an aborted wait", () => {
  const abortWait = async (pool: ModelPool, folder: string) => {
    const controller = new AbortController();
    const waiting = pool.acquire({ folder }, controller.signal);
    await pause(1);
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  };

  test("leaves the load to whoever asks next", async () => {
    const { shelf, pool, acquire } = makePool();
    await abortWait(pool, "a");
    await acquire("a");
    expect(shelf.log).toEqual(["load a"]);
  });

  test("does not use the model: another one takes its place", async () => {
    const { shelf, pool, acquire } = makePool();
    await abortWait(pool, "a");
    await acquire("b");
    expect(shelf.log).toEqual(["load a", "stop a", "load b"]);
  });

  test("that was aborted before loads nothing", async () => {
    const { shelf, pool } = makePool();
    await expect(pool.acquire({ folder: "a" }, AbortSignal.abort())).rejects.toThrow();
    expect(shelf.log).toEqual([]);
  });
});

describe("closing", () => {
  test("frees all models and ends all loading", async () => {
    const { shelf, pool, acquire } = makePool();
    await acquire("a");
    const loading = acquire("b");
    await pause(1);
    pool.close();
    await expect(loading).rejects.toMatchObject({ code: "closed" });
    expect(shelf.log).toEqual(["load a", "load b", "stop a", "stop b", "free a"]);
    expect(pool.isLoaded("a")).toBe(false);
  });

  test("keeps later callers from loading anything", async () => {
    const { shelf, pool, acquire } = makePool();
    pool.close();
    await expect(acquire("a")).rejects.toMatchObject({ name: "AbortError", code: "closed" });
    expect(shelf.log).toEqual([]);
  });
});

test("a released model is freed at once, or when its last user is done", async () => {
  const { shelf, pool, acquire } = makePool();
  (await acquire("idle")).release();
  pool.release("idle");
  expect(pool.isLoaded("idle")).toBe(false);
  const lease = await acquire("used");
  pool.release("used");
  expect(pool.isLoaded("used")).toBe(true);
  lease.release();
  expect(pool.isLoaded("used")).toBe(false);
  await pause(0);
  expect(shelf.log).toContain("free used");
});

test("a model that nobody has used for a while is freed, and loaded again when it is wanted", async () => {
  const { shelf, pool, acquire } = makePool(0.03);
  const lease = await acquire("a");
  await pause(60);
  expect(shelf.log).toEqual(["load a"]);
  lease.release();
  expect(pool.isLoaded("a")).toBe(true);
  while (pool.isLoaded("a")) await pause(5);
  (await acquire("a")).release();
  expect(shelf.log).toEqual(["load a", "stop a", "free a", "load a"]);
});
