import { Slots } from "../../src/chain/slots.js";
import { AbortError, LLMError, TimeoutError } from "../../src/errors.js";
import {
  chainOf,
  eventsOf,
  failureOf,
  newCall,
  streamOf,
  wholeOf,
} from "../helpers/chain-calls.js";
import {
  type Act,
  FINISH,
  reply,
  ScriptedProvider,
  START,
  text,
} from "../helpers/scripted-provider.js";

const { signal } = new AbortController();
const settled = () => new Promise(setImmediate);

describe("places", () => {
  test("are for everyone if there is no limit", () => {
    const slots = new Slots();
    for (let count = 0; count < 100; count++) expect(slots.take(signal)).toBeInstanceOf(Function);
  });

  test("are given in the order in which they were asked for", async () => {
    const slots = new Slots(2);
    const given: number[] = [];
    const free: (() => void)[] = [];
    for (const index of [0, 1, 2, 3, 4]) {
      void Promise.resolve(slots.take(signal)).then((leave) => {
        given.push(index);
        free.push(leave);
      });
    }
    await settled();
    expect(given).toEqual([0, 1]);
    free[1]!();
    await settled();
    expect(given).toEqual([0, 1, 2]);
    // Twice is as good as once.
    free[1]!();
    await settled();
    expect(given).toEqual([0, 1, 2]);
    free[0]!();
    free[2]!();
    await settled();
    expect(given).toEqual([0, 1, 2, 3, 4]);
  });

  test("are not waited for after an abort, and the line moves up", async () => {
    const slots = new Slots(1);
    const free = await slots.take(signal);
    const work = new AbortController();
    const reason = new AbortError("Enough.");
    const waiting = Promise.resolve(slots.take(work.signal));
    const next = Promise.resolve(slots.take(signal));
    work.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(Promise.resolve(slots.take(work.signal))).rejects.toBe(reason);
    free();
    expect(await next).toBeInstanceOf(Function);
  });

  test("leave no listener on a signal", async () => {
    const work = new AbortController();
    const added = jest.spyOn(work.signal, "addEventListener");
    const removed = jest.spyOn(work.signal, "removeEventListener");
    const slots = new Slots(1);
    for (let count = 0; count < 3; count++) {
      (await slots.take(work.signal))();
      await settled();
    }
    expect(added).toHaveBeenCalled();
    const listeners = removed.mock.calls.map(([, listener]) => listener);
    for (const [, listener] of added.mock.calls) expect(listeners).toContain(listener);
  });
});

describe("a leg with maxConcurrent", () => {
  const limited = (scripts: Act[][], maxConcurrent = 1) => {
    const provider = new ScriptedProvider(scripts);
    return { provider, chain: chainOf([[provider, { maxConcurrent }]]) };
  };
  /** True once a call that finds a free place got its answer. */
  const isFree = async ({ provider, chain }: ReturnType<typeof limited>) => {
    await wholeOf(chain);
    return provider.mostOpen === 1;
  };

  test("never has more requests than that", async () => {
    const { provider, chain } = limited([[[START], 1, [text("a")], 1, [FINISH]]], 3);
    const calls = Array.from({ length: 20 }, () => wholeOf(chain));
    expect(await Promise.all(calls)).toHaveLength(20);
    expect(provider.mostOpen).toBe(3);
  });

  test("frees the place at the finish", async () => {
    const leg = limited([reply("here")]);
    await eventsOf(await leg.chain.open(newCall()));
    expect(await isFree(leg)).toBe(true);
  });

  test("frees the place at a failure, before and after the first content", async () => {
    const broken = new LLMError("No.", { code: "protocol" });
    const leg = limited([
      [broken],
      [[START], [text("half")], broken],
      [{ throws: 5 }],
      reply("here"),
    ]);
    await failureOf(leg.chain.open(newCall()));
    await failureOf(leg.chain.open(newCall()).then(eventsOf));
    await failureOf(leg.chain.open(newCall()));
    expect(await isFree(leg)).toBe(true);
  });

  test("frees the place when what it is asked for is refused", async () => {
    const leg = limited([reply("here")]);
    const request = { messages: "Hi", responseFormat: { type: "json_object" as const } };
    await failureOf(leg.chain.open(newCall(request)));
    expect(await isFree(leg)).toBe(true);
  });

  test("frees the place at an abort, even if nobody reads on", async () => {
    const leg = limited([[[START], [text("half")], "silence"], reply("here")]);
    const work = new AbortController();
    await leg.chain.open(newCall("Hi", { signal: work.signal }));
    const waiting = wholeOf(leg.chain);
    work.abort();
    expect((await waiting).content).toBe("here");
  });

  test("frees the place when the reader leaves the loop", async () => {
    const leg = limited([[[START], [text("half")], "silence"], reply("here")]);
    for await (const event of streamOf(leg.chain, newCall())) if (event.type === "text") break;
    expect(await isFree(leg)).toBe(true);
  });

  test("frees the place when the silence was too long", async () => {
    const provider = new ScriptedProvider([["silence"], reply("here")]);
    const chain = chainOf([[provider, { maxConcurrent: 1, firstTokenTimeout: 0.02 }]]);
    await failureOf(chain.open(newCall()));
    expect(await isFree({ provider, chain })).toBe(true);
  });

  test("frees the place before it sleeps", async () => {
    const busy = new LLMError("Busy.", { code: "overloaded" });
    const leg = limited([[busy], reply("first"), reply("second")]);
    const [one, two] = await Promise.all([wholeOf(leg.chain), wholeOf(leg.chain)]);
    expect([one.content, two.content].sort()).toEqual(["first", "second"]);
    expect(leg.provider.asked).toHaveLength(3);
  });

  test("does not lose the place if the abort comes together with it", async () => {
    const leg = limited([[[START], [text("a")], "silence"], reply("here")]);
    const first = new AbortController();
    const second = new AbortController();
    await leg.chain.open(newCall("Hi", { signal: first.signal }));
    const waiting = failureOf(leg.chain.open(newCall("Hi", { signal: second.signal })));
    first.abort();
    // So many turns later the place is handed over.
    for (let turn = 0; turn < 10; turn++) {
      if (turn === 3) second.abort();
      await Promise.resolve();
    }
    await waiting;
    expect((await wholeOf(leg.chain)).content).toBe("here");
  });

  test.each(Array.from({ length: 12 }, (_, turn) => turn))(
    "hands the place on if it is aborted %i turns after it was freed",
    async (turns) => {
      const slots = new Slots(1);
      const free = await slots.take(signal);
      const work = new AbortController();
      const waiting = Promise.resolve(slots.take(work.signal)).then(
        (leave) => leave(),
        () => {},
      );
      free();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      work.abort();
      await waiting;
      (await slots.take(signal))();
    },
  );

  test.each([
    ["the caller", new AbortError("Enough."), "aborted"],
    ["the deadline", new TimeoutError("Late.", { code: "deadline_exceeded" }), "deadline_exceeded"],
  ])("lets %s end the wait", async (_name, reason, code) => {
    const { chain, provider } = limited([[[START], [text("a")], "silence"]]);
    const first = new AbortController();
    await chain.open(newCall("Hi", { signal: first.signal }));
    const work = new AbortController();
    const waiting = failureOf(chain.open(newCall("Hi", { signal: work.signal })));
    await settled();
    work.abort(reason);
    expect(await waiting).toMatchObject({ code, attempts: [{ leg: 0, code }] });
    expect(provider.asked).toHaveLength(1);
    first.abort();
  });

  test("is about that leg alone", async () => {
    const full = new ScriptedProvider([[new LLMError("No.", { code: "protocol" })]]);
    const other = new ScriptedProvider([[[START], 5, [text("a"), FINISH]]], { name: "lmstudio" });
    const chain = chainOf([[full, { maxConcurrent: 1 }], other]);
    await Promise.all(Array.from({ length: 10 }, () => wholeOf(chain)));
    expect(other.mostOpen).toBeGreaterThan(1);
  });
});
