import { untilAborted } from "../src/abort.js";
import { Calls } from "../src/calls.js";
import { AbortError, LLMError, TimeoutError } from "../src/errors.js";

const forever = (signal: AbortSignal) => untilAborted(new Promise<never>(() => {}), signal);

describe("calls under way", () => {
  test("are aborted by the closing, and nothing new begins", () => {
    const calls = new Calls();
    const [running, done] = [new AbortController(), new AbortController()];
    calls.add(running);
    const remove = calls.add(done);
    remove();
    calls.checkOpen();
    calls.close();
    expect(running.signal.reason).toBeInstanceOf(AbortError);
    expect(running.signal.reason).toMatchObject({ code: "closed" });
    expect(done.signal.aborted).toBe(false);
    expect(() => calls.checkOpen()).toThrow("The client is closed.");
    expect(() => calls.add(new AbortController())).toThrow(AbortError);
  });

  test("may end while they are being aborted", () => {
    const calls = new Calls();
    for (let count = 0; count < 3; count++) {
      const call = new AbortController();
      const remove = calls.add(call);
      call.signal.addEventListener("abort", remove);
    }
    calls.close();
    calls.close();
    expect(() => calls.checkOpen()).toThrow(AbortError);
  });
});

describe("a question", () => {
  let calls: Calls;
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate"] });
    calls = new Calls();
  });
  afterEach(() => {
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });
  const ask = (signal?: AbortSignal) => calls.within(2, "Asking", forever, signal);

  test("is answered", async () => {
    expect(await calls.within(2, "Asking", async () => 5)).toBe(5);
  });

  test("fails as its work does", async () => {
    const error = new LLMError("No.");
    await expect(calls.within(2, "Asking", () => Promise.reject(error))).rejects.toBe(error);
    const work = () => {
      throw error;
    };
    await expect(calls.within(2, "Asking", work)).rejects.toBe(error);
  });

  test("ends with a TimeoutError when its time is over", async () => {
    const asking = ask();
    const failing = expect(asking).rejects.toMatchObject({
      message: "Asking was not done within 2 s.",
      code: "timeout",
    });
    await jest.advanceTimersByTimeAsync(2000);
    await failing;
    await expect(asking).rejects.toBeInstanceOf(TimeoutError);
  });

  test("ends with the caller's signal, on which nothing stays behind", async () => {
    const caller = new AbortController();
    const added = jest.spyOn(caller.signal, "addEventListener");
    const removed = jest.spyOn(caller.signal, "removeEventListener");
    const asking = ask(caller.signal);
    const reason = new AbortError("Enough.");
    caller.abort(reason);
    await expect(asking).rejects.toBe(reason);
    await expect(ask(caller.signal)).rejects.toBe(reason);
    expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
  });

  test("ends when everything is closed, and cannot be asked afterwards", async () => {
    const asking = ask();
    calls.close();
    await expect(asking).rejects.toMatchObject({ name: "AbortError", code: "closed" });
    const work = jest.fn();
    await expect(calls.within(2, "Asking", work)).rejects.toMatchObject({ code: "closed" });
    expect(work).not.toHaveBeenCalled();
  });

  test("is under way no longer when it is answered", async () => {
    let signal: AbortSignal | undefined;
    await calls.within(2, "Asking", async (its) => {
      signal = its;
    });
    calls.close();
    expect(signal!.aborted).toBe(false);
  });
});
