import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { type Lock, tryLock } from "../../src/hub/lock.js";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lock-"));
  file = join(folder, "a.lock");
});
afterEach(() => rm(folder, { recursive: true }));

const take = (onLost = () => {}) => tryLock(file, onLost);
/** No process has it: they go up to four million. */
const DEAD = 99_999_999;

test("one holds it, until it lets go", async () => {
  const lock = (await take()) as Lock;
  expect(await take()).toEqual({ pid: process.pid, host: hostname() });
  await lock.release();
  const next = (await take()) as Lock;
  expect(next).toHaveProperty("release");
  await next.release();
  expect(await readdir(folder)).toEqual([]);
});

test("of many who want it at once one gets it", async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => take()));
  const locks = all.filter((each) => "release" in each);
  expect(locks).toHaveLength(1);
  await (locks[0] as Lock).release();
});

test("of many who find the lock of a dead process at once one gets it", async () => {
  for (let round = 0; round < 20; round++) {
    await writeFile(file, `${DEAD} ${hostname()} x\n`);
    const all = await Promise.all(Array.from({ length: 10 }, () => take()));
    const locks = all.filter((each): each is Lock => "release" in each);
    expect(locks.length).toBeLessThanOrEqual(1);
    for (const lock of locks) await lock.release();
    await rm(file, { force: true });
  }
});

test.each([
  ["a process that has died", `${DEAD} ${hostname()} x\n`, 0, true],
  ["a process of another machine", `${DEAD} elsewhere x\n`, 0, false],
  ["a process of another machine that was silent for long", `${DEAD} elsewhere x\n`, 60, true],
  ["nobody that can be read", "nonsense", 0, true],
])("the lock of %s", async (_, content, secondsAgo, isTaken) => {
  await writeFile(file, content);
  const then = new Date(Date.now() - secondsAgo * 1000);
  await utimes(file, then, then);
  const lock = await take();
  expect("release" in lock).toBe(isTaken);
  if ("release" in lock) await lock.release();
});

test("a holder that lost it is told, and does not remove that of the other", async () => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate"] });
  try {
    let tell = () => {};
    const lost = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const lock = (await take(() => tell())) as Lock;
    await writeFile(file, "somebody else");
    jest.advanceTimersByTime(3000);
    await lost;
    await lock.release();
    expect(await readFile(file, "utf8")).toBe("somebody else");
  } finally {
    jest.useRealTimers();
  }
});
