import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Observer } from "../../src/chain/observer.js";
import { ConnectionError } from "../../src/errors.js";
import type { Hooks, LLMResponse } from "../../src/types.js";
import { chainOf, newCall, storyOf, wholeOf } from "../helpers/chain-calls.js";
import { reply, ScriptedProvider } from "../helpers/scripted-provider.js";

const error = new ConnectionError("Nobody listens.", { code: "connection_refused" });
const attempt = { leg: 0, provider: "ollama", model: "a", durationMs: 12.4 };
const lmStudio = { leg: 1, provider: "lmstudio" as const };
const from = { leg: 0, provider: "ollama" as const };

const told = {
  start: { requestId: "1", request: { messages: "Hello" }, streams: false },
  attempt: { requestId: "1", attempt },
  retry: { requestId: "1", attempt, delay: 1.234, error },
  fallback: { requestId: "1", from, to: lmStudio, error },
  finish: { requestId: "1", response: { content: "here" } as LLMResponse },
};
const kinds = Object.keys(told) as (keyof typeof told)[];
const hookOf = (kind: string) => `on${kind[0]!.toUpperCase()}${kind.slice(1)}` as keyof Hooks;

function tellAll(observer: Observer): void {
  observer.start(told.start);
  observer.attempt(told.attempt);
  observer.retry(told.retry);
  observer.fallback(told.fallback);
  observer.finish(told.finish);
}

/** A logger that keeps its lines. */
function newLogger() {
  const lines: string[] = [];
  const at = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  return { lines, logger };
}

test.each(kinds)("the hook is told: %s", (kind) => {
  const hook = jest.fn();
  tellAll(new Observer({ [hookOf(kind)]: hook }));
  expect(hook.mock.calls).toEqual([[told[kind]]]);
});

test.each(kinds)("diagnostics_channel is told: %s", (kind) => {
  const messages: unknown[] = [];
  const note = (message: unknown) => void messages.push(message);
  subscribe(`mlx-llm-client:${kind}`, note);
  tellAll(new Observer({}));
  unsubscribe(`mlx-llm-client:${kind}`, note);
  tellAll(new Observer({}));
  expect(messages).toEqual([told[kind]]);
});

test("the logger gets a line of each", () => {
  const { lines, logger } = newLogger();
  const observer = new Observer({}, logger);
  tellAll(observer);
  observer.attempt({ requestId: "2", attempt: { ...attempt, skippedBecause: "it is off" } });
  observer.attempt({ requestId: "3", attempt: { ...attempt, code: "dns" } });
  observer.warn("Look out.");
  expect(lines).toEqual([
    "debug: 1: ollama a: ok, 12 ms",
    "info: 1: again in 1.23 s after: Nobody listens.",
    "warn: 1: ollama → lmstudio after: Nobody listens.",
    "debug: 2: ollama a: skipped: it is off, 12 ms",
    "debug: 3: ollama a: dns, 12 ms",
    "warn: Look out.",
  ]);
});

test("nothing is written without a logger", () => {
  tellAll(new Observer({}));
  new Observer({}).warn("Look out.");
});

describe("what goes wrong while telling changes nothing", () => {
  const refusing = () =>
    chainOf([new ScriptedProvider([[error]]), new ScriptedProvider([reply("here")])]);
  const brokenHooks = (fail: () => never | Promise<never>): Hooks => ({
    onAttempt: fail,
    onRetry: fail,
    onFallback: fail,
    onFinish: fail,
  });

  test.each<[string, () => never | Promise<never>]>([
    [
      "throws",
      () => {
        throw new Error("bug");
      },
    ],
    ["rejects", async () => Promise.reject(new Error("bug"))],
  ])("a hook that %s is logged", async (_name, fail) => {
    const { lines, logger } = newLogger();
    const observer = new Observer(brokenHooks(fail), logger);
    expect((await wholeOf(refusing(), { observer })).content).toBe("here");
    await new Promise(setImmediate);
    expect(lines.filter((line) => line.startsWith("error"))).toEqual([
      "error: The hook onAttempt failed: Error: bug",
      "error: The hook onFallback failed: Error: bug",
      "error: The hook onAttempt failed: Error: bug",
    ]);
  });

  test.each<[string, () => never | Promise<never>]>([
    [
      "throws",
      () => {
        throw new Error("full disk");
      },
    ],
    ["rejects", async () => Promise.reject(new Error("full disk"))],
  ])("a logger that %s is left alone", async (_, fail) => {
    const logger = { debug: fail, info: fail, warn: fail, error: fail };
    const observer = new Observer(brokenHooks(fail), logger);
    const noted = newCall("Hi", { observer, wantsWhole: true });
    const begun = await refusing().open(noted);
    const [finish] = (await begun.next())!;
    expect(finish).toMatchObject({ response: { content: "here" } });
    expect(noted.ends).toHaveLength(1);
    expect(storyOf([...noted.attempts])).toEqual(["0: connection_refused", "1: ok"]);
    tellAll(observer);
    observer.warn("Look out.");
  });
});
