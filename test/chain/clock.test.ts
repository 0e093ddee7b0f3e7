import { systemClock } from "../../src/chain/clock.js";
import { AbortError } from "../../src/errors.js";

const { signal } = new AbortController();

test("the clock counts seconds and sleeps as long", async () => {
  const before = systemClock.now();
  await systemClock.sleep(0.02, signal);
  expect(systemClock.now() - before).toBeGreaterThan(0.015);
});

test("an abort ends a sleep at once, with its reason", async () => {
  const work = new AbortController();
  const sleeping = systemClock.sleep(1000, work.signal);
  const reason = new AbortError("Enough.");
  work.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
  await expect(systemClock.sleep(1000, work.signal)).rejects.toBe(reason);
});

test("a sleep leaves no listener behind", async () => {
  const removed = jest.spyOn(signal, "removeEventListener");
  const added = jest.spyOn(signal, "addEventListener");
  await systemClock.sleep(0, signal);
  expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
});

test("chance is from 0 up to 1", () => {
  const numbers = Array.from({ length: 100 }, systemClock.random);
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
  expect(new Set(numbers).size).toBeGreaterThan(90);
});
