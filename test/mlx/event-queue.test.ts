import { EventQueue } from "../../src/mlx/event-queue.js";

test("values arrive in order, those that wait together at once", async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.push(2);
  expect(await queue.take()).toEqual([1, 2]);
  const next = queue.take();
  queue.push(3);
  expect(await next).toEqual([3]);
});

test("the end comes after all values", async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.end();
  queue.push(2);
  expect(await queue.take()).toEqual([1]);
  expect(await queue.take()).toBeUndefined();
  expect(await queue.take()).toBeUndefined();
});

test("a failure reaches a waiting reader and drops what is queued", async () => {
  const waiting = new EventQueue<number>();
  const taken = waiting.take();
  waiting.fail(new Error("broken"));
  await expect(taken).rejects.toThrow("broken");

  const filled = new EventQueue<number>();
  filled.push(1);
  filled.fail(new Error("broken"));
  await expect(filled.take()).rejects.toThrow("broken");
});

test("a failure counts although the end was announced, but only the first one", async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.end();
  queue.fail(new Error("first"));
  queue.fail(new Error("second"));
  await expect(queue.take()).rejects.toThrow("first");
});
