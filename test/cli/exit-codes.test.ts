import { EXIT, exitCodeOf, exitCodeOfHealth, UsageError } from "../../src/cli/exit-codes.js";
import * as errors from "../../src/errors.js";

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
