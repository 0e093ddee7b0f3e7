import { Fallback } from "../../src/chain/fallback.js";
import { breakerOf } from "../../src/chain/leg.js";
import { AbortError, ConnectionError, LLMError } from "../../src/errors.js";
import type { Provider, ProviderEvent } from "../../src/providers/provider.js";
import type { LLMResponse } from "../../src/types.js";
import { legsOf, newCall, type NotedCall, streamOf, wholeOf } from "../helpers/chain-calls.js";
import { HandClock } from "../helpers/hand-clock.js";
import { FINISH, ScriptedProvider, START, text } from "../helpers/scripted-provider.js";

const COUNT = 500;
/** What a call meets at the first provider, by the rest of its number divided by 10. */
const FATES: Record<number, string> = {
  1: "refused",
  2: "busy",
  3: "broken off",
  4: "aborted",
};
const fateOf = (index: number) => FATES[index % 10] ?? "answered";

/** Echoes the prompt word by word, or does to it what is its fate. */
function echo(name: "ollama" | "lmstudio", fate: (index: number) => string): Provider {
  const provider = new ScriptedProvider([], { name });
  return Object.assign(provider, {
    async *stream(...[request, { signal }]: Parameters<Provider["stream"]>) {
      const prompt = request.messages[0]!.content as string;
      const what = fate(Number(prompt.split(" ")[1]));
      await new Promise(setImmediate);
      if (what === "refused") throw new ConnectionError("No.", { code: "connection_refused" });
      if (what === "busy") throw new LLMError("Busy.", { code: "overloaded" });
      yield [START] as ProviderEvent[];
      for (const word of prompt.split(/(?<= )/)) {
        signal.throwIfAborted();
        yield [text(word)];
        await new Promise(setImmediate);
        if (what === "broken off") throw new LLMError("Reset.", { code: "connection_reset" });
      }
      yield [FINISH];
    },
  });
}

const prompt = (index: number) => `call ${index} has words of its own: ${index * 7}`;
const callOf = (index: number) => newCall(prompt(index), { requestId: `id-${index}` });

interface Ended {
  index: number;
  text: string;
  call: NotedCall;
  response?: LLMResponse;
  error?: LLMError;
}

async function read(chain: Fallback, index: number): Promise<Ended> {
  const call = callOf(index);
  const work = new AbortController();
  const ended: Ended = { index, call, text: "" };
  try {
    for await (const event of streamOf(chain, call, work)) {
      if (event.type === "finish") ended.response = event.response;
      if (event.type !== "text") continue;
      ended.text += event.text;
      if (fateOf(index) === "aborted") work.abort(new AbortError("Enough."));
    }
  } catch (error) {
    ended.error = error as LLMError;
  }
  return ended;
}

function newChain(settings = {}) {
  const clock = new HandClock();
  const legs = legsOf(
    [
      [echo("ollama", fateOf), settings],
      [echo("lmstudio", () => "answered"), settings],
    ],
    clock,
  );
  return { chain: new Fallback(legs, clock), legs };
}

test.each([
  ["as many as come", {}],
  ["a few at a time", { maxConcurrent: 7 }],
])("hundreds of streams all end, each in its own way: %s", async (_name, settings) => {
  const { chain } = newChain(settings);
  const all = await Promise.all(Array.from({ length: COUNT }, (_, index) => read(chain, index)));
  for (const { index, text, response, error, call } of all) {
    const fate = fateOf(index);
    const { attempts = [], requestId } = response ?? error!;
    const partial = error?.partial;
    expect(requestId).toBe(`id-${index}`);
    expect(attempts).toEqual(call.attempts);
    expect(call.ends).toHaveLength(response || partial ? 1 : 0);
    if (error) {
      const code = { aborted: "aborted", "broken off": "stream_interrupted" }[fate];
      expect({ index, code: error.code, partial }).toEqual({ index, code, partial: text });
      expect(prompt(index).startsWith(text)).toBe(true);
    } else {
      expect([index, response!.content, text]).toEqual([index, prompt(index), prompt(index)]);
      expect(response!.usedFallback).toBe(attempts.at(-1)!.leg === 1);
    }
  }
  const count = (fate: string) => all.filter(({ index }) => fateOf(index) === fate).length;
  const failed = all.filter(({ error }) => error);
  // Some of these were sent to the other provider after too many failures.
  expect(failed.length).toBeLessThanOrEqual(count("aborted") + count("broken off"));
  expect(failed.length).toBeGreaterThan(0);
});

test("hundreds of whole replies all come, whatever breaks on the way", async () => {
  const { chain, legs } = newChain();
  const all = Array.from({ length: COUNT }, (_, index) => wholeOf(chain, callOf(index)));
  const responses = await Promise.all(all);
  for (const [index, { content, attempts, requestId }] of responses.entries()) {
    expect([content, requestId]).toEqual([prompt(index), `id-${index}`]);
    expect(attempts.length).toBeLessThanOrEqual(2);
  }
  expect(breakerOf(legs[1]!).report()).toMatchObject({ state: "closed", failures: 0 });
});

test("hundreds of calls may share a signal", async () => {
  const { chain } = newChain();
  const { signal } = new AbortController();
  const removed = jest.spyOn(signal, "removeEventListener");
  const all = Array.from({ length: COUNT }, (_, index) =>
    wholeOf(chain, { ...callOf(index), signal }),
  );
  expect(await Promise.all(all)).toHaveLength(COUNT);
  expect(removed.mock.calls.length).toBeGreaterThanOrEqual(COUNT);
  expect(wasWarnedOf(signal)).not.toBe(true);
});

/** Whether Node has said that so many listeners must be a leak; jest does not hear its warnings. */
function wasWarnedOf(signal: AbortSignal): unknown {
  const symbols = Object.getOwnPropertySymbols(signal);
  const key = symbols.find(({ description }) => description?.endsWith("ListenersWarned"));
  return (signal as unknown as Record<symbol, unknown>)[key!];
}
