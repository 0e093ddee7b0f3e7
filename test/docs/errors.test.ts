import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Breaker } from "../../src/chain/breaker.js";
import { isFinal, mayFollow, type Step } from "../../src/chain/plan.js";
import { delayBeforeRetry } from "../../src/chain/retry.js";
import { exitCodeOf } from "../../src/cli/exit-codes.js";
import type { LegSettings } from "../../src/config/settings.js";
import * as errors from "../../src/errors.js";
import { quoted, readPage, root, tablesOf, tableUnder } from "../helpers/markdown.js";

const { LLMError } = errors;
const page = "docs/errors.md";
const codes = tablesOf(page)
  .filter(({ header }) => header[0] === "code")
  .flatMap(({ heading, rows }) =>
    rows.map(([code, , again, next, counts]) => ({
      errorClass: heading,
      code: quoted(code),
      again,
      next,
      counts,
    })),
  );
/** These come from outside of any chain of providers. */
const OUTSIDE = [
  ...["timeout", "stream_already_read", "all_providers_failed"],
  ...["pull_failed", "gated", "disk_full", "wrong_content", "not_removed", "convert_failed"],
  ...["tool_timeout", "tool_failed", "prompt_cache_not_written"],
];

const clock = { now: () => 0, random: () => 0, sleep: async () => {} };

describe("docs/errors.md", () => {
  test("has every class, its base and its exit code", () => {
    const { rows } = tableUnder(page, "Classes");
    const told = rows.map(([name, base, exit]) => [quoted(name), quoted(base), Number(exit)]);
    const real = errorClasses().map((errorClass) => {
      const { name } = Object.getPrototypeOf(errorClass) as { name: string };
      return [errorClass.name, name, exitCodeOf(new errorClass("x"))];
    });
    expect(told.sort()).toEqual(real.sort());
  });

  test("has the code of every class under it", () => {
    const own = errorClasses().map((errorClass) => [errorClass.name, new errorClass("x").code]);
    const told = codes.map(({ errorClass, code }) => [errorClass, code]);
    expect(told).toEqual(expect.arrayContaining(own.filter(([name]) => name !== "LLMError")));
  });

  test("has every code that the sources use, and no other", () => {
    const told = codes.map(({ code }) => code);
    expect(new Set(told).size).toBe(told.length);
    const texts = sources().map(readPage);
    const used = new Set(texts.flatMap(codesIn));
    expect([...used].filter((code) => !told.includes(code))).toEqual(["error"]);
    const isThere = (code: string) => texts.some((text) => text.includes(`"${code}"`));
    expect(told.filter((code) => !isThere(code))).toEqual([]);
  });

  test("says what is sent again", () => {
    const settings = { maxRetries: 2, retryDelay: 1, retryMaxDelay: 1, retryExponentialBase: 1 };
    const retriesAfter = (code: string) =>
      [0, 1].filter((retries) => {
        const error = new LLMError("x", { code });
        return delayBeforeRetry(error, retries, settings as LegSettings, clock) !== undefined;
      }).length;
    const real = codes.map(({ code }) => [code, ["–", "once", "yes"][retriesAfter(code)]]);
    expect(codes.map(({ code, again }) => [code, again])).toEqual(real);
  });

  test("says when the next provider is asked", () => {
    const nextAfter = (code: string) => {
      const error = new LLMError("x", { code });
      if (OUTSIDE.includes(code) || isFinal(error)) return "–";
      if (code === "context_length_exceeded") return "larger context";
      return mayFollow({ hasOwnModel: false } as Step, error) ? "yes" : "own model";
    };
    const real = codes.map(({ code }) => [code, nextAfter(code)]);
    expect(codes.map(({ code, next }) => [code, next])).toEqual(real);
  });

  test("says what counts for the breaker", () => {
    const isCounted = (code: string) => {
      const breaker = new Breaker(clock);
      breaker.enter()(new LLMError("x", { code }));
      return breaker.report().failures > 0;
    };
    const real = codes.map(({ code }) => [code, isCounted(code) ? "yes" : "–"]);
    expect(codes.map(({ code, counts }) => [code, counts])).toEqual(real);
  });
});

function errorClasses(): (typeof LLMError)[] {
  return Object.values(errors).filter(
    (value): value is typeof LLMError =>
      value === LLMError || (typeof value === "function" && value.prototype instanceof LLMError),
  );
}

function sources(): string[] {
  const names = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
  return names
    .filter((name) => name.endsWith(".ts") && !/^(cli|server)\b/.test(name))
    .map((name) => `src/${name}`);
}

/** The codes in a source, by the ways in which they are written. */
function codesIn(text: string): string[] {
  const direct = text.matchAll(
    /(?:\bcode(?::|: [^,\n]*\?) |error\(\s*|connection\(\s*|define\(\w+, "\w+", )"([a-z_]+)"/gi,
  );
  const sets = text.matchAll(/^const (?:COUNTED|FINAL|OF_ONE_LEG|REPEATED\w*) = new Set(.*?);/gms);
  const mapped = text.matchAll(/const LOAD_CODES[^{]*\{([^}]*)\}/g);
  return [
    ...[...direct].map(([, code]) => code!),
    ...[...sets].flatMap(([, list]) => list!.match(/[a-z_]+/g)!),
    ...[...mapped].flatMap(([, map]) => map!.match(/(?<=: ")[a-z_]+/g)!),
  ];
}
