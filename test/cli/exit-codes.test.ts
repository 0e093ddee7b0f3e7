import { EXIT, exitCodeOf, exitCodeOfHealth, UsageError } from "../../src/cli/exit-codes.js";
import * as errors from "../../src/errors.js";
import type { Attempt } from "../../src/types.js";

test.each([
  [errors.ConfigurationError, 2],
  [errors.ValidationError, 2],
  [errors.ProviderUnavailableError, 3],
  [errors.ConnectionError, 3],
  [errors.AllProvidersFailedError, 3],
  [errors.AuthenticationError, 4],
  [errors.ModelNotFoundError, 5],
  [errors.ContextLengthError, 6],
  [errors.TimeoutError, 7],
  [errors.StreamInterruptedError, 8],
  [errors.AbortError, 130],
  [errors.LLMError, 1],
  [errors.ModelLoadError, 1],
  [errors.GenerationError, 1],
  [errors.RateLimitError, 1],
  [errors.ProtocolError, 1],
])("%p ends with its code", (errorClass, code) => {
  expect(exitCodeOf(new errorClass("x"))).toBe(code);
});

test("a wrong use ends with 2 and anything unforeseen with 1", () => {
  expect(exitCodeOf(new UsageError("x"))).toBe(EXIT.usage);
  expect(exitCodeOf(new TypeError("x"))).toBe(EXIT.failure);
  expect(exitCodeOf("x")).toBe(EXIT.failure);
  expect(exitCodeOf(undefined)).toBe(EXIT.failure);
});

describe("when all providers failed", () => {
  const attempt = { leg: 0, provider: "ollama", durationMs: 1 };
  const exitCodeAfter = (...attempts: Partial<Attempt>[]) =>
    exitCodeOf(
      new errors.AllProvidersFailedError("x", {
        attempts: attempts.map((each, leg) => ({ ...attempt, leg, ...each })),
      }),
    );

  test.each([
    ["auth", 4],
    ["model_not_found", 5],
    ["model_mismatch", 5],
    ["context_length_exceeded", 6],
    ["first_content_timeout", 7],
    ["idle_timeout", 7],
    ["unsupported", 2],
    ["connection_refused", 3],
    ["server_error", 3],
  ])("with %s, it ends with %d", (code, expected) => {
    expect(exitCodeAfter({ code }, { code })).toBe(expected);
    expect(exitCodeAfter({ code }, { code: "connection_reset" })).toBe(3);
  });

  test("codes that mean the same may differ", () => {
    expect(exitCodeAfter({ code: "model_not_found" }, { code: "model_mismatch" })).toBe(5);
  });

  test("only the last attempt of each leg counts, and no leg that was not asked", () => {
    const attempts = [
      { leg: 0, code: "server_error" },
      { leg: 0, code: "auth" },
      { leg: 1, skippedBecause: "it is held back" },
      { leg: 2, code: "auth" },
      { leg: 3, code: "provider_unavailable" },
    ];
    expect(exitCodeAfter(...attempts)).toBe(4);
  });

  test("without any attempt it ends with 3", () => {
    expect(exitCodeAfter()).toBe(3);
  });
});

test.each<[string | undefined, number]>([
  ["model_not_found", 5],
  ["auth", 4],
  ["timeout", 7],
  ["configuration", 2],
  ["provider_unavailable", 3],
  [undefined, 3],
])("a health report that says %p ends with %p", (code, expected) => {
  const provider = { provider: "mlx" as const, reachable: true, healthy: false, latencyMs: 1 };
  const report = { healthy: false, providers: [{ ...provider, code }] };
  expect(exitCodeOfHealth(report)).toBe(expected);
  expect(exitCodeOfHealth({ ...report, healthy: true })).toBe(0);
  const other = { ...provider, code: "connection_failed" };
  expect(exitCodeOfHealth({ ...report, providers: [...report.providers, other] })).toBe(3);
});
