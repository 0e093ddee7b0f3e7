import * as errors from "../src/errors.js";
import {
  AbortError,
  ConnectionError,
  ContextLengthError,
  GenerationError,
  LLMError,
  ModelLoadError,
  ProviderUnavailableError,
  RateLimitError,
  redactSecrets,
  StreamInterruptedError,
  TimeoutError,
} from "../src/errors.js";

const classes = Object.entries(errors).filter(
  (entry): entry is [string, typeof LLMError] => typeof entry[1] === "function" && "is" in entry[1],
);

describe("every error class", () => {
  test.each(classes)("%s is an LLMError with its own name and code", (name, errorClass) => {
    const error = new errorClass("It broke.");
    expect(error).toBeInstanceOf(LLMError);
    expect(error.name).toBe(name);
    expect(error.message).toBe("It broke.");
    expect(error.code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(error.stack).toContain(`${name}: It broke.`);
    expect(errorClass.is(error)).toBe(true);
  });

  test("there are as many as the contract names", () => {
    expect(classes).toHaveLength(16);
    expect(new Set(classes.map(([, errorClass]) => new errorClass("").code)).size).toBe(16);
  });

  test("special failures are generation errors", () => {
    for (const errorClass of [ContextLengthError, StreamInterruptedError, ModelLoadError]) {
      expect(new errorClass("")).toBeInstanceOf(GenerationError);
    }
    for (const errorClass of [ProviderUnavailableError, AbortError]) {
      expect(new errorClass("")).toBeInstanceOf(GenerationError);
    }
  });

  test("only failures that may pass by themselves are retryable", () => {
    const retryable = classes.filter(([, errorClass]) => new errorClass("").retryable);
    expect(retryable.map(([name]) => name).sort()).toEqual(["ConnectionError", "RateLimitError"]);
  });
});

describe("is", () => {
  test("knows subclasses, but not siblings or other errors", () => {
    const error = new ContextLengthError("Too long.");
    expect(LLMError.is(error)).toBe(true);
    expect(GenerationError.is(error)).toBe(true);
    expect(AbortError.is(error)).toBe(false);
    for (const other of [new Error("x"), undefined, null, "error", 3, {}]) {
      expect(LLMError.is(other)).toBe(false);
    }
  });

  test("knows errors of another copy of the package", () => {
    let copy: typeof errors | undefined;
    jest.isolateModules(() => {
      copy = jest.requireActual<typeof errors>("../src/errors.js");
    });
    const error = new copy!.AbortError("Enough.");
    expect(error).not.toBeInstanceOf(AbortError);
    expect(AbortError.is(error)).toBe(true);
    expect(LLMError.is(error)).toBe(true);
    expect(TimeoutError.is(error)).toBe(false);
  });
});

test("details stand on the error, and absent ones do not", () => {
  const cause = new Error("socket");
  const error = new RateLimitError("Slow down.", {
    provider: "lmstudio",
    status: 429,
    retryAfter: 2.5,
    cause,
  });
  expect(error).toMatchObject({ provider: "lmstudio", status: 429, retryAfter: 2.5, cause });
  expect(error.retryable).toBe(true);
  expect("model" in error).toBe(false);
  expect("cause" in new RateLimitError("x")).toBe(false);
});

test("with adds details and keeps class, code, message, cause and stack", () => {
  const cause = new Error("socket");
  const error = new TimeoutError("Late.", { code: "idle_timeout", hint: "Wait.", cause });
  const more = error.with({ model: "tiny", partial: "Hel", code: "other", hint: undefined });
  expect(more).toBeInstanceOf(TimeoutError);
  expect(more).toMatchObject({ message: "Late.", code: "idle_timeout", hint: "Wait.", cause });
  expect(more).toMatchObject({ model: "tiny", partial: "Hel" });
  expect(more.stack).toBe(error.stack);
  expect(error.model).toBeUndefined();
});

describe("toJSON", () => {
  test("tells everything but the stack, and leaves out what is unknown", () => {
    const cause = Object.assign(new Error("refused"), { code: "ECONNREFUSED", socket: {} });
    const error = new ConnectionError("No answer.", { url: "http://localhost:11434", cause });
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      name: "ConnectionError",
      message: "No answer.",
      code: "connection_failed",
      url: "http://localhost:11434",
      retryable: true,
      cause: { name: "Error", message: "refused", code: "ECONNREFUSED" },
    });
  });

  test("nests errors of this package", () => {
    const error = new GenerationError("Failed.", { cause: new TimeoutError("Late.") });
    expect(error.toJSON().cause).toMatchObject({ name: "TimeoutError", code: "timeout" });
  });

  test("holds no secret, wherever it stood", () => {
    const secret = "hunter2hunter2";
    const error = new ConnectionError(`GET http://me:${secret}@host/ failed`, {
      url: `https://me:${secret}@host/v1?api_key=${secret}`,
      hint: `Send Authorization: Bearer ${secret}`,
      cause: new Error(`x-api-key: ${secret}`),
      attempts: [
        { leg: 0, provider: "lmstudio", durationMs: 1, skippedBecause: `apiKey=${secret}` },
      ],
    });
    const text = JSON.stringify(error) + error.message + error.url + error.hint;
    expect(text).not.toContain(secret);
    expect(error.url).toBe("https://[redacted]@host/v1?api_key=[redacted]");
  });
});

test.each([
  ["Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"],
  ['{"apiKey":"abc"}', '{"apiKey":"[redacted]"}'],
  ["sk-lm-abcdefgh:0123456789 is wrong", "sk-[redacted] is wrong"],
  ["http://user:pass@host:1/a@b", "http://[redacted]@host:1/a@b"],
  ["LMSTUDIO_API_KEY=abcdef", "LMSTUDIO_API_KEY=[redacted]"],
  ["HF_TOKEN=hf_abc, retry", "HF_TOKEN=[redacted], retry"],
  ["Authorization: Token abc123", "Authorization: Token [redacted]"],
  ["Authorization: Basic dXNlcg==", "Authorization: Basic [redacted]"],
  ["sent Bearer 0123456789abcdef", "sent Bearer [redacted]"],
  ["https://u:p@ss@host/v1", "https://[redacted]@host/v1"],
  ["/v1?token=abc&secret=def&x=1", "/v1?token=[redacted]&secret=[redacted]&x=1"],
  ["hf_abcdefghijkl is wrong", "hf_[redacted] is wrong"],
  ['{"password": "two words", "x": 1}', '{"password": "[redacted]", "x": 1}'],
  ["api_key='two words' x", "api_key='[redacted]' x"],
  ['api_key="open', 'api_key="[redacted]'],
  ['{\\"apiKey\\":\\"abc\\"}', '{\\"apiKey\\":\\"[redacted]\\"}'],
  ["in the folder basic nostuff", "in the folder basic nostuff"],
  ["/models/sk-llama-7b-instruct", "/models/sk-llama-7b-instruct"],
  ["C:\\models\\hf_models-2024", "C:\\models\\hf_models-2024"],
  ["it gives token 5 no bearer of names", "it gives token 5 no bearer of names"],
  ["the task-oriented model", "the task-oriented model"],
  ["http://localhost:1234/v1", "http://localhost:1234/v1"],
])("redactSecrets turns %p into %p", (text, redacted) => {
  expect(redactSecrets(text)).toBe(redacted);
});

test("redactSecrets is fast on a long text without any", () => {
  const text = "a".repeat(150_000);
  const start = performance.now();
  expect(redactSecrets(text)).toBe(text);
  // Where each character began a search of its own, this took more than ten seconds.
  expect(performance.now() - start).toBeLessThan(3000);
});
