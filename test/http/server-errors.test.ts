import { readFileSync } from "node:fs";
import { errorOfAnswer, errorOfBody } from "../../src/http/server-errors.js";
import { lmStudioErrors, OVERFLOW, OVERFLOW_OLD } from "../servers/lm-studio-errors.js";
import { ollamaErrors, RUNNER_DIED } from "../servers/ollama-errors.js";
import type { Reply } from "../servers/wire-reply.js";

const ollama = { provider: "ollama", url: "http://localhost:11434", model: "tiny" } as const;
const lmStudio = { provider: "lmstudio", url: "http://localhost:1234", model: "tiny" } as const;
const mlx = { provider: "mlx", url: "http://localhost:8080", model: "tiny" } as const;

const textOf = ({ parts }: Reply) => Buffer.concat(parts.map(({ bytes }) => Buffer.from(bytes)));
const answerOf = (reply: Reply) => ({
  status: reply.status,
  headers: reply.headers,
  text: textOf(reply).toString(),
});
const json = (status: number, body: unknown) => ({
  status,
  headers: {},
  text: JSON.stringify(body) ?? "",
});
const text = (status: number, body: string, headers = {}) => ({ status, headers, text: body });

const kinds: Record<string, [name: string, retryable: boolean]> = {
  auth: ["AuthenticationError", false],
  model_not_found: ["ModelNotFoundError", false],
  model_not_loaded: ["ModelLoadError", false],
  model_unloaded: ["ModelLoadError", true],
  model_crashed: ["ModelLoadError", true],
  model_load_failed: ["ModelLoadError", false],
  context_length_exceeded: ["ContextLengthError", false],
  unsupported: ["ValidationError", false],
  overloaded: ["RateLimitError", true],
  rate_limited: ["RateLimitError", true],
  quota_exceeded: ["RateLimitError", false],
  request_timeout: ["GenerationError", true],
  conflict: ["GenerationError", true],
  server_error: ["GenerationError", true],
  bad_request: ["ValidationError", false],
  canceled_by_server: ["GenerationError", false],
  protocol: ["ProtocolError", false],
};

const expected = (code: string, where: object, status?: number) => {
  const [name, retryable] = kinds[code]!;
  return { code, name, retryable, ...where, ...(status !== undefined && { status }) };
};

describe("Ollama", () => {
  test.each<[string, Reply]>([
    ["bad_request", ollamaErrors.missingBody()],
    ["bad_request", ollamaErrors.modelRequired()],
    ["bad_request", ollamaErrors.brokenJson()],
    ["model_not_found", ollamaErrors.modelNotFound("tiny")],
    ["model_not_found", ollamaErrors.modelNotFoundByScheduler("tiny")],
    ["unsupported", ollamaErrors.noTools("tiny")],
    ["unsupported", ollamaErrors.noThinking("tiny")],
    ["unsupported", ollamaErrors.noThinkingLevel("high")],
    ["unsupported", ollamaErrors.noChat("tiny")],
    ["bad_request", ollamaErrors.tooManyLogprobs()],
    ["bad_request", ollamaErrors.badFormat("xml")],
    ["bad_request", ollamaErrors.badKeepAlive("soon")],
    ["context_length_exceeded", ollamaErrors.overflow()],
    ["context_length_exceeded", ollamaErrors.overflowOfLlamaServer()],
    ["auth", ollamaErrors.cloudUnauthorized()],
    ["auth", ollamaErrors.cloudDisabled()],
    ["auth", ollamaErrors.foreignHost()],
    ["overloaded", ollamaErrors.busy()],
    ["canceled_by_server", ollamaErrors.canceled()],
    ["model_load_failed", ollamaErrors.outOfMemory()],
    ["model_load_failed", ollamaErrors.brokenWeights()],
    ["model_crashed", ollamaErrors.runnerTerminated()],
    ["model_crashed", ollamaErrors.runnerDied()],
    ["protocol", ollamaErrors.pageNotFound()],
    ["protocol", ollamaErrors.methodNotAllowed()],
  ])("%s: %j", (code, reply) => {
    const error = errorOfAnswer(answerOf(reply), ollama);
    expect(error).toMatchObject(expected(code, ollama, reply.status));
    expect(error.message).toMatch(/[.!?…]$/);
  });

  test.each([
    ["bad_request", 500, "invalid JSON schema in format"],
    ["bad_request", 500, 'option "temperature" must be of type float32'],
    ["bad_request", 400, "json: cannot unmarshal number into Go struct field"],
    ["context_length_exceeded", 400, "prompt longer than the context length currently available"],
    ["model_crashed", 500, "llama-server process has terminated: signal: killed"],
    ["model_crashed", 500, "llama runner process no longer running: 2"],
    [
      "model_crashed",
      500,
      "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details",
    ],
    [
      "model_load_failed",
      500,
      "model failed to load, this may be due to resource limitations or an internal error, check ollama server logs for details",
    ],
    [
      "model_load_failed",
      500,
      "llama runner process has terminated: error loading model: unknown model architecture: 'x'",
    ],
    ["model_load_failed", 500, "timed out waiting for llama runner to start - progress 0.00 - "],
    [
      "model_load_failed",
      500,
      "llama runner process has terminated: cudaMalloc failed: out of memory",
    ],
    ["server_error", 500, "llama model: tensor not found"],
    ["server_error", 502, "bad gateway"],
  ])("%s, status %i: %s", (code, status, error) => {
    expect(errorOfAnswer(json(status, { error }), ollama)).toMatchObject(
      expected(code, ollama, status),
    );
  });

  test.each([
    ["model_crashed", RUNNER_DIED],
    ["model_not_found", "pull model manifest: file does not exist"],
    ["server_error", "pull model manifest: dial tcp: lookup registry.ollama.ai: no such host"],
    ["overloaded", "server busy, please try again.  maximum pending requests exceeded"],
    ["context_length_exceeded", "the input length exceeds the context length"],
    ["server_error", "context canceled"],
  ])("%s inside a stream: %s", (code, error) => {
    expect(errorOfBody(error, ollama)).toMatchObject(expected(code, ollama));
  });

  test("messages name server, model, status and what was said; hints tell what to do", () => {
    const shown = (reply: Reply) => {
      const { message, hint } = errorOfAnswer(answerOf(reply), ollama);
      return [message, hint];
    };
    expect(shown(ollamaErrors.modelNotFound("tiny"))).toEqual([
      `Ollama does not have the model "tiny" (status 404): model 'tiny' not found.`,
      "Get it with `ollama pull tiny`.",
    ]);
    expect(shown(ollamaErrors.cloudUnauthorized())).toEqual([
      "Ollama refused the credentials (status 401): unauthorized.",
      "Sign in with `ollama signin`, or set apiKey if the server is behind a key.",
    ]);
    const [message, hint] = shown(ollamaErrors.foreignHost());
    expect(message).toBe("Ollama refused the credentials (status 403).");
    expect(hint).toContain("OLLAMA_HOST");
    expect(shown(ollamaErrors.pageNotFound())).toEqual([
      "The answer is not what Ollama sends (status 404): 404 page not found.",
      "Is http://localhost:11434 the address of Ollama, and is it recent enough?",
    ]);
  });

  test("the refusals recorded from the genuine server are told apart", () => {
    const file = new URL("../fixtures/wire/ollama/0.17.4/errors.json", import.meta.url);
    const recorded = JSON.parse(readFileSync(file, "utf8")) as Record<string, RecordedError>;
    const codes = Object.values(recorded).map(({ status, text }) => {
      return [text, errorOfAnswer({ status, text, headers: {} }, ollama).code];
    });
    expect(codes.filter(([, code]) => code === "server_error")).toEqual([]);
  });
});

interface RecordedError {
  status: number;
  text: string;
}

describe("LM Studio", () => {
  test.each<[string, Reply]>([
    ["protocol", lmStudioErrors.unexpectedEndpoint("GET /x")],
    ["model_not_found", lmStudioErrors.modelNotFound("tiny")],
    ["model_not_loaded", lmStudioErrors.nothingLoaded()],
    ["model_not_loaded", lmStudioErrors.nothingLoadedOld()],
    ["model_crashed", lmStudioErrors.crashed()],
    ["model_unloaded", lmStudioErrors.unloaded()],
    ["model_unloaded", lmStudioErrors.isUnloaded()],
    ["model_load_failed", lmStudioErrors.loadFailed("tiny")],
    ["model_load_failed", lmStudioErrors.guardrail("tiny")],
    ["context_length_exceeded", lmStudioErrors.overflow()],
    ["context_length_exceeded", lmStudioErrors.overflowOld()],
    ["context_length_exceeded", lmStudioErrors.internal()],
    ["auth", lmStudioErrors.missingToken()],
    ["auth", lmStudioErrors.malformedToken("dummy")],
  ])("%s: %j", (code, reply) => {
    const error = errorOfAnswer(answerOf(reply), lmStudio);
    expect(error).toMatchObject(expected(code, lmStudio, reply.status));
  });

  test.each([
    ["context_length_exceeded", { message: OVERFLOW }],
    ["context_length_exceeded", { message: OVERFLOW_OLD }],
    ["context_length_exceeded", "Context size has been exceeded."],
    ["context_length_exceeded", "Reached context length of 4096 tokens."],
    ["model_crashed", "The model has crashed without additional information. (Exit code: 6)"],
    ["bad_request", { message: "'x' is wrong", type: "invalid_request_error" }],
    ["server_error", { message: "something else" }],
  ])("%s inside a stream: %j", (code, error) => {
    expect(errorOfBody(error, lmStudio)).toMatchObject(expected(code, lmStudio));
  });

  test("a model that is missing or not loaded says how to get it", () => {
    const missing = errorOfAnswer(answerOf(lmStudioErrors.modelNotFound("tiny")), lmStudio);
    expect(missing.hint).toBe("Get it with `lms get tiny`, or load it in LM Studio.");
    const unloaded = errorOfAnswer(answerOf(lmStudioErrors.nothingLoaded()), lmStudio);
    expect(unloaded.hint).toContain("`lms load tiny`");
  });

  test("refused credentials say whether a key was sent", () => {
    const answer = answerOf(lmStudioErrors.missingToken());
    expect(errorOfAnswer(answer, lmStudio).hint).toContain("LMSTUDIO_API_KEY");
    const sent = errorOfAnswer(answer, { ...lmStudio, secret: "my-key" });
    expect(sent.hint).toBe(
      "Check apiKey, or the user in baseUrl, and leave it out if the server wants none.",
    );
  });
});

describe("mlx_lm.server", () => {
  test.each([
    ["model_not_found", json(404, { error: "Cannot find an appropriate cached snapshot folder" })],
    ["model_not_found", json(404, { error: "Repository Not Found for url: https://hub.test/x" })],
    ["bad_request", json(404, { error: "Cannot apply chat template to an empty conversation" })],
    ["bad_request", json(400, { error: "temperature must be at least 0" })],
    ["bad_request", json(411, { error: "Content-Length header is required" })],
    ["overloaded", json(503, { status: "unavailable" })],
    ["protocol", text(404, "Not Found", { "content-type": "application/json" })],
    ["protocol", text(501, "<!DOCTYPE HTML><html>", { "content-type": "text/html" })],
    ["protocol", text(200, "")],
  ])("%s: %j", (code, answer) => {
    expect(errorOfAnswer(answer, mlx)).toMatchObject(expected(code, mlx, answer.status));
  });
});

describe("other servers", () => {
  test.each([
    [
      "context_length_exceeded",
      json(400, {
        error: {
          code: 400,
          message: "the request exceeds the available context size",
          type: "exceed_context_size_error",
          n_prompt_tokens: 14429,
          n_ctx: 8192,
        },
      }),
    ],
    [
      "context_length_exceeded",
      json(400, {
        object: "error",
        message:
          "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        type: "BadRequestError",
        code: 400,
      }),
    ],
    [
      "context_length_exceeded",
      json(500, { error: { message: "Requested tokens (516) exceed context window of 512" } }),
    ],
    [
      "context_length_exceeded",
      json(400, { error: { message: "too much", code: "context_length_exceeded" } }),
    ],
    [
      "overloaded",
      json(503, { error: { code: 503, message: "Loading model", type: "unavailable_error" } }),
    ],
    [
      "model_not_found",
      json(404, {
        error: { message: "The model `tiny` does not exist.", type: "NotFoundError", code: 404 },
      }),
    ],
    ["bad_request", json(422, { detail: [{ loc: ["body", "x"], msg: "field required" }] })],
    ["protocol", json(404, { detail: "Not Found" })],
    [
      "protocol",
      json(404, {
        error: { message: "Unknown request URL: POST /x", type: "invalid_request_error" },
      }),
    ],
    ["rate_limited", json(429, { error: { message: "slow down", type: "rate_limit_error" } })],
    [
      "quota_exceeded",
      json(429, { error: { message: "Check your plan.", code: "insufficient_quota" } }),
    ],
    ["quota_exceeded", json(402, { error: { message: "Insufficient credits", code: 402 } })],
    ["overloaded", json(529, { error: { type: "overloaded_error" } })],
    ["request_timeout", text(408, "")],
    ["conflict", text(409, "")],
    ["server_error", text(502, "<html><h1>502 Bad Gateway</h1></html>")],
    ["server_error", text(504, "")],
    ["overloaded", text(503, "<html>maintenance</html>")],
    ["bad_request", text(413, "<html>Request Entity Too Large</html>")],
    ["protocol", text(400, "<html>The plain HTTP request was sent to HTTPS port</html>")],
    ["protocol", text(200, "<!doctype html><html></html>")],
    ["protocol", text(307, "", { location: "https://elsewhere.test/" })],
    ["auth", json(401, "no")],
  ])("%s: %j", (code, answer) => {
    expect(errorOfAnswer(answer, mlx)).toMatchObject(expected(code, mlx, answer.status));
  });

  test("a number as code inside a stream counts as the status", () => {
    const error = { code: 400, message: "bad", type: "BadRequestError" };
    expect(errorOfBody(error, mlx)).toMatchObject(expected("bad_request", mlx));
    expect(errorOfBody({ ...error, code: 429 }, mlx).code).toBe("rate_limited");
    expect(errorOfBody(error, mlx)).not.toHaveProperty("status");
  });

  test("counts of tokens that stand beside the text come into the message", () => {
    const error = {
      message: "exceed",
      type: "exceed_context_size_error",
      n_prompt_tokens: 9,
      n_ctx: 8,
    };
    expect(errorOfBody(error, mlx).message).toBe(
      `The prompt does not fit into the context of the model "tiny" on mlx_lm.server: exceed (9 tokens, room for 8).`,
    );
  });
});

describe("the time to wait", () => {
  const retryAfter = (headers: Record<string, string>) =>
    errorOfAnswer(text(429, "", headers), ollama).retryAfter;

  test.each([
    [{ "retry-after-ms": "1500", "retry-after": "9" }, 1.5],
    [{ "retry-after": "2" }, 2],
    [{ "retry-after": "0.5" }, 0.5],
    [{ "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT" }, 0],
    [{ "retry-after-ms": "soon", "retry-after": "3" }, 3],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "1e999" }, undefined],
    [{}, undefined],
  ])("%j is %s s", (headers, seconds) => {
    expect(retryAfter(headers as Record<string, string>)).toBe(seconds);
  });

  test("counts from now for a date", () => {
    const date = new Date(Date.now() + 60_000).toUTCString();
    const seconds = retryAfter({ "retry-after": date });
    expect(seconds).toBeGreaterThan(50);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  test("is told only where repeating makes sense", () => {
    const headers = { "retry-after": "5" };
    expect(errorOfAnswer(text(400, "", headers), ollama)).not.toHaveProperty("retryAfter");
    expect(errorOfAnswer(text(503, "", headers), ollama)).toMatchObject({ retryAfter: 5 });
  });
});

describe("whatever a server says", () => {
  const shapes = [
    undefined,
    null,
    0,
    true,
    "",
    [],
    {},
    [[[]]],
    { error: null },
    { error: {} },
    { error: [] },
    { message: {} },
    { message: 7 },
    { detail: [null, 7, { msg: [] }] },
    { code: {}, type: [] },
    { n_prompt_tokens: "x", n_ctx: {} },
    { error: { error: { message: "deep" } } },
  ];

  test.each(shapes.map((shape) => [shape]))("%j becomes an error with a message", (shape) => {
    for (const error of [errorOfBody(shape, ollama), errorOfAnswer(json(500, shape), ollama)]) {
      expect(error.message).toMatch(/^Ollama failed/);
    }
  });

  test("is one short line without control characters", () => {
    const said = `first\n\u001b[31msecond\u0000\u202e\t${"🐦".repeat(400)}`;
    const { message } = errorOfAnswer(text(500, said), ollama);
    expect(message).toMatch(/^Ollama failed \(status 500\): first \[31msecond 🐦+…$/u);
    expect(message.length).toBeLessThan(350);
    expect(Buffer.from(message).toString()).toBe(message);
  });

  test("is searched in a time that its length does not blow up", () => {
    const long = "model context length exceed tensor ".repeat(100_000);
    const start = performance.now();
    errorOfAnswer(text(500, long), ollama);
    errorOfBody({ message: long }, ollama);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  test("shows neither the key that was sent nor what looks like one", () => {
    const where = { ...lmStudio, secret: "my-own-key" };
    const said = 'bad token my-own-key and "apiKey": "abcdef" and sk-abcdefghijklmnop';
    for (const error of [
      errorOfAnswer(text(401, said), where),
      errorOfAnswer(json(400, { error: { message: said } }), where),
      errorOfBody(said, where),
    ]) {
      const shown = `${error.message} ${JSON.stringify(error)}`;
      expect(shown).not.toMatch(/my-own-key|abcdef/);
      expect(error).not.toHaveProperty("secret");
    }
  });
});
