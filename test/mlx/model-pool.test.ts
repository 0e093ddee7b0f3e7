import type { LoadedModel } from "../../src/mlx/model.js";
import { ModelPool } from "../../src/mlx/model-pool.js";

/** Loads nothing, but notes what is loaded and freed. */
class Shelf {
  readonly loads: string[] = [];
  readonly freed: string[] = [];
  failure: Error | undefined;

  readonly load = async (folder: string): Promise<LoadedModel> => {
    this.loads.push(folder);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (this.failure) throw this.failure;
    return { native: { close: () => this.freed.push(folder) } } as unknown as LoadedModel;
  };
}

function makePool() {
  const shelf = new Shelf();
  return { shelf, pool: new ModelPool(shelf.load) };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

test("those who ask at the same time or later share one load", async () => {
  const { shelf, pool } = makePool();
  const leases = await Promise.all([pool.acquire("a"), pool.acquire("a")]);
  for (const lease of leases) lease.release();
  expect((await pool.acquire("a")).model).toBe(leases[0].model);
  expect(shelf).toMatchObject({ loads: ["a"], freed: [] });
});

test("another model frees those that nobody uses", async () => {
  const { shelf, pool } = makePool();
  const used = await pool.acquire("used");
  const idle = await pool.acquire("idle");
  idle.release();
  await pool.acquire("another");
  await settled();
  expect(shelf.freed).toEqual(["idle"]);
  expect(pool.folders).toEqual(["used", "another"]);
  used.release();
});

test("a model that is still loading for somebody is not freed", async () => {
  const { shelf, pool } = makePool();
  await Promise.all([pool.acquire("a"), pool.acquire("b")]);
  expect(shelf.freed).toEqual([]);
});

test("releasing twice counts once", async () => {
  const { shelf, pool } = makePool();
  const first = await pool.acquire("a");
  await pool.acquire("a");
  first.release();
  first.release();
  await pool.acquire("b");
  await settled();
  expect(shelf.freed).toEqual([]);
});

test("a failed load reaches all who wait, and is tried again", async () => {
  const { shelf, pool } = makePool();
  shelf.failure = new Error("disk");
  const outcomes = await Promise.allSettled([pool.acquire("a"), pool.acquire("a")]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  shelf.failure = undefined;
  await pool.acquire("a");
  expect(shelf.loads).toEqual(["a", "a"]);
});

test("closing frees all models, also those still loading", async () => {
  const { shelf, pool } = makePool();
  await pool.acquire("a");
  const loading = pool.acquire("b");
  pool.close();
  await loading;
  await settled();
  expect(shelf.freed.sort()).toEqual(["a", "b"]);
  expect(pool.folders).toEqual([]);
});
