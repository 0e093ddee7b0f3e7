import { generateCommand, type GenerateOptions, runGenerate } from "../../src/cli/generate.js";
import type {
  ConfigSources,
  LLMConfig,
  LLMRequest,
  LLMResponse,
  StreamEvent,
} from "../../src/index.js";
import { FakeIo } from "../helpers/fake-io.js";
import { parseCommand } from "../helpers/parse-command.js";

const mockCalls: { sources: ConfigSources; request: LLMRequest; closed: boolean }[] = [];
let mockEvents: () => AsyncGenerator<StreamEvent>;

jest.mock("../../src/index.js", () => ({
  LLMClient: class {
    constructor(
      _config: LLMConfig,
      readonly sources: ConfigSources,
    ) {}
    stream(request: LLMRequest) {
      mockCalls.push({ sources: this.sources, request, closed: false });
      const events = mockEvents();
      let end: (response: LLMResponse) => void;
      const response = new Promise<LLMResponse>((resolve) => (end = resolve));
      async function* read() {
        for await (const event of events) {
          if (event.type === "finish") end(event.response);
          yield event;
        }
      }
      return Object.assign(read(), { response });
    }
    async generate(request: LLMRequest) {
      const stream = this.stream(request);
      for await (const _event of stream);
      return stream.response;
    }
    async close() {}
    async [Symbol.asyncDispose]() {
      mockCalls.at(-1)!.closed = true;
    }
  },
}));

const response = (fields: Partial<LLMResponse> = {}): LLMResponse => ({
  content: "Hello there",
  model: "demo",
  finishReason: "stop",
  responseId: "r1",
  requestId: "q1",
  provider: "mlx",
  latencyMs: 12.3,
  usage: { promptTokens: 5, completionTokens: 2, totalTokens: 7 },
  retryCount: 0,
  usedFallback: false,
  attempts: [{ leg: 0, provider: "mlx", model: "demo", durationMs: 12 }],
  timings: { firstTokenMs: 7.06, tokensPerSecond: 400 },
  warnings: [],
  ...fields,
});

async function* events(...texts: string[]): AsyncGenerator<StreamEvent> {
  yield {
    type: "start",
    provider: "mlx",
    model: "demo",
    responseId: "r1",
    requestId: "q1",
    warnings: [],
  };
  for (const text of texts) yield { type: "text", text };
  yield { type: "finish", response: response({ content: texts.join("") }) };
}

const options = (fields: Partial<GenerateOptions> = {}): GenerateOptions => ({
  sources: { flags: { model: "demo" } },
  json: false,
  verbose: false,
  words: ["Hello"],
  images: [],
  request: {},
  stream: true,
  usage: false,
  hideReasoning: false,
  ...fields,
});

beforeEach(() => {
  mockCalls.length = 0;
  mockEvents = () => events("Hello", " there");
});

const parse = (args: string[]) => parseCommand<GenerateOptions>(generateCommand, args);

describe("flags", () => {
  test.each<[string[], Partial<GenerateOptions>]>([
    [
      [],
      {
        words: [],
        stream: true,
        usage: false,
        json: false,
        verbose: false,
        sources: { flags: {} },
      },
    ],
    [["Tell", "me"], { words: ["Tell", "me"] }],
    [["-"], { words: ["-"] }],
    [["--", "-v"], { words: ["-v"], verbose: false }],
    [
      ["-p", "mlx", "-u", "./models", "-m", "tiny"],
      { sources: { flags: { provider: "mlx", baseUrl: "./models", model: "tiny" } } },
    ],
    [
      ["--timeout", "2.5", "-v", "--json"],
      { sources: { flags: { timeout: 2.5 } }, verbose: true, json: true },
    ],
    [
      ["--prompt-cache-folder", "kept"],
      { sources: { flags: { provider: "mlx", promptCacheFolder: "kept" } } },
    ],
    [["--prompt-cache-file", "kept.safetensors"], { sources: { flags: { provider: "mlx" } } }],
    [["-m", "mlx:org/tiny"], { sources: { flags: { provider: "mlx", model: "org/tiny" } } }],
    [
      ["-m", "ollama:qwen3:0.6b"],
      { sources: { flags: { provider: "ollama", model: "qwen3:0.6b" } } },
    ],
    [["-m", "qwen3:0.6b"], { sources: { flags: { model: "qwen3:0.6b" } } }],
    [["--config", "mine.json"], { sources: { flags: {}, configFile: "mine.json" } }],
    [["-p", "auto", "-m", "mlx:demo"], { sources: { flags: { provider: "mlx", model: "demo" } } }],
    [["-t", "0"], { request: { temperature: 0 } }],
    [["--temperature", "2", "--max-tokens", "7"], { request: { temperature: 2, maxTokens: 7 } }],
    [["--seed", "0", "--top-p", "1", "--top-k", "0"], { request: { seed: 0, topP: 1, topK: 0 } }],
    [
      ["--min-p", "0.05", "--stop", "a", "--stop", "\n"],
      { request: { minP: 0.05, stop: ["a", "\n"] } },
    ],
    [["--repetition-penalty", "1.1"], { request: { repetitionPenalty: 1.1 } }],
    [
      ["--presence-penalty", "-2", "--frequency-penalty", "2"],
      { request: { presencePenalty: -2, frequencyPenalty: 2 } },
    ],
    [
      ["--raw"],
      {
        sources: { flags: { provider: "mlx" } },
        request: { providerOptions: { mlx: { raw: true } } },
      },
    ],
    [
      ["--kv-bits", "4", "--kv-group-size", "32", "--quantized-kv-start", "100"],
      {
        sources: { flags: { provider: "mlx" } },
        request: {
          providerOptions: { mlx: { kvBits: 4, kvGroupSize: 32, quantizedKvStart: 100 } },
        },
      },
    ],
    [
      ["--draft-model", "org/small", "--num-draft-tokens", "4", "--no-prompt-lookup", "--no-mtp"],
      {
        sources: { flags: { provider: "mlx" } },
        request: {
          providerOptions: {
            mlx: { draftModel: "org/small", numDraftTokens: 4, promptLookup: false, mtp: false },
          },
        },
      },
    ],
    [
      ["--max-kv-size", "64", "--prefill-step-size", "512"],
      {
        sources: { flags: { provider: "mlx" } },
        request: { providerOptions: { mlx: { maxKvSize: 64, prefillStepSize: 512 } } },
      },
    ],
    [
      ["-p", "auto", "--xtc-probability", "0.5", "--xtc-threshold", "0.1"],
      {
        sources: { flags: { provider: "mlx" } },
        request: { providerOptions: { mlx: { xtcProbability: 0.5, xtcThreshold: 0.1 } } },
      },
    ],
    [["--reasoning", "on"], { request: { reasoning: true } }],
    [
      ["--reasoning", "off", "--hide-reasoning"],
      { request: { reasoning: false }, hideReasoning: true },
    ],
    [["--reasoning", "high"], { request: { reasoning: "high" } }],
    [["--reasoning-tokens", "500"], { request: { reasoning: { maxTokens: 500 } } }],
    [
      ["--reasoning", "low", "--reasoning-tokens", "500"],
      { request: { reasoning: { effort: "low", maxTokens: 500 } } },
    ],
    [["--reasoning", "off", "--reasoning-tokens", "5"], { request: { reasoning: false } }],
    [["--tools", "tools.json"], { tools: "tools.json", request: {} }],
    [["--image", "a.png", "--image", "b.jpg"], { images: ["a.png", "b.jpg"], request: {} }],
    [["--schema", "person.json"], { schema: "person.json", request: {} }],
    [["--grammar", "move.lark"], { grammar: "move.lark", request: {} }],
    [["--json-object"], { request: { responseFormat: { type: "json_object" } } }],
    [["--regex", "a+"], { request: { responseFormat: { type: "regex", pattern: "a+" } } }],
    [["--json", "--top-logprobs", "3"], { request: { topLogprobs: 3 } }],
    [["--json", "--logprobs"], { request: { logprobs: true } }],
    [["--system", "Be brief."], { system: "Be brief.", request: {} }],
    [["--no-stream", "--usage"], { stream: false, usage: true }],
  ])("%j", async (args, expected) => {
    const { options: parsed, refusal } = await parse(args);
    expect(refusal).toBe("");
    expect(parsed).toMatchObject(expected);
    if (expected.sources) expect(parsed?.sources).toEqual(expected.sources);
    if (expected.request) expect(parsed?.request).toEqual(expected.request);
  });

  test.each([
    [
      ["--regex", "a", "--json-object"],
      "option '--json-object' cannot be used with option '--regex <pattern>'",
    ],
    [["-t", "3"], "argument '3' is invalid. --temperature must be a number from 0 to 2."],
    [["-t", "-0.1"], "argument '-0.1' is invalid. --temperature must be a number from 0 to 2."],
    [["-t", "warm"], "argument 'warm' is invalid. --temperature must be a number from 0 to 2."],
    [["-t", ""], "--temperature must be a number from 0 to 2."],
    [
      ["--max-tokens", "0"],
      "argument '0' is invalid. --max-tokens must be a whole number, 1 or more.",
    ],
    [["--max-tokens", "1.5"], "--max-tokens must be a whole number, 1 or more."],
    [["--max-tokens"], "argument missing"],
    [["--seed", "-1"], "--seed must be a whole number, 0 or more."],
    [["--top-p", "0"], "--top-p must be a number above 0, up to 1."],
    [["--top-k", "Infinity"], "--top-k must be a whole number, 0 or more."],
    [["--min-p", "1.1"], "--min-p must be a number from 0 to 1."],
    [["--repetition-penalty", "0"], "--repetition-penalty must be a number above 0."],
    [["--presence-penalty", "-2.1"], "--presence-penalty must be a number from -2 to 2."],
    [["--frequency-penalty", "3"], "--frequency-penalty must be a number from -2 to 2."],
    [["--top-logprobs", "21", "--json"], "--top-logprobs must be a whole number from 0 to 20."],
    [["--timeout", "0"], "--timeout must be a number above 0."],
    [["--stop", ""], "--stop must not be empty."],
    [["--logprobs"], "need --json"],
    [["-p", "gpt"], "Allowed choices are mlx, ollama, lmstudio, auto."],
    [["-p", "ollama", "-m", "mlx:demo"], "name two providers"],
    [["-p", "ollama", "--raw"], "error: --raw: only mlx can do that, not ollama"],
    [
      ["-p", "ollama", "--no-prompt-lookup"],
      "error: --no-prompt-lookup: only mlx can do that, not ollama",
    ],
    [
      ["-m", "lmstudio:x", "--xtc-threshold", "0.1"],
      "error: --xtc-threshold: only mlx can do that, not lmstudio",
    ],
    [["--reasoning", "much"], "Allowed choices are on, off, low, medium, high."],
    [["--image", ""], "--image must not be empty."],
    [["--raw", "--system", "x"], "cannot be used with option '--system <text>'"],
    [["--temprature", "1"], "unknown option '--temprature'\n(Did you mean --temperature?)"],
  ])("%j is refused", async (args, reason) => {
    const { options: parsed, refusal } = await parse(args);
    expect(parsed).toBeUndefined();
    expect(refusal).toContain(reason);
  });
});

describe("prompt", () => {
  test.each<[string[], string | undefined, string]>([
    [["What", "is", "this?"], undefined, "What is this?"],
    [[], "piped\n", "piped"],
    [["Explain:"], "line 1\nline 2\n\n", "line 1\nline 2\n\nExplain:"],
    [["Explain", "-"], "piped", "piped\n\nExplain"],
    [["Hello"], "", "Hello"],
    [["Hello"], "\n", "Hello"],
    [[], "  indented\r\n", "  indented"],
  ])("words %j with stdin %j ask %j", async (words, stdin, expected) => {
    await runGenerate(options({ words }), new FakeIo({ stdin }));
    expect(mockCalls[0]?.request.messages).toEqual([{ role: "user", content: expected }]);
  });

  test.each<[string[], string | undefined, string]>([
    [[], undefined, "There is no prompt."],
    [[""], undefined, "The prompt is empty."],
    [["  "], undefined, "The prompt is empty."],
    [[], "", "The prompt is empty."],
    [[" "], " \n", "The prompt is empty."],
  ])("words %j with stdin %j are refused", async (words, stdin, message) => {
    const result = runGenerate(options({ words }), new FakeIo({ stdin }));
    await expect(result).rejects.toMatchObject({ name: "UsageError", message });
    expect(mockCalls).toEqual([]);
  });

  test("the system message comes first", async () => {
    await runGenerate(options({ system: "Be brief." }), new FakeIo());
    expect(mockCalls[0]?.request.messages).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
    ]);
  });
});

test("the client is set up from the flags and the named file", async () => {
  const sources = { flags: { model: "demo" }, configFile: "mine.json" };
  await runGenerate(options({ sources }), new FakeIo());
  expect(mockCalls[0]?.sources).toEqual(sources);
});

describe("output", () => {
  test("content goes to stdout as it comes, and ends with a line break", async () => {
    const io = new FakeIo();
    await runGenerate(options(), io);
    expect(io.stdout.text).toBe("Hello there\n");
    expect(io.stderr.text).toBe("");
    expect(mockCalls[0]?.closed).toBe(true);
  });

  test("a line break of the model is not doubled", async () => {
    for (const stream of [true, false]) {
      mockEvents = () => events("Hello\n");
      const io = new FakeIo();
      await runGenerate(options({ stream }), io);
      expect(io.stdout.text).toBe("Hello\n");
    }
  });

  test("without streaming the same content comes at once", async () => {
    const io = new FakeIo();
    const writes = jest.spyOn(io.stdout, "write");
    await runGenerate(options({ stream: false }), io);
    expect(writes.mock.calls).toEqual([["Hello there\n"]]);
  });

  test("an empty answer prints nothing", async () => {
    mockEvents = () => events();
    const io = new FakeIo();
    await runGenerate(options(), io);
    expect(io.stdout.text).toBe("");
  });

  test("--json prints the response and nothing else", async () => {
    const io = new FakeIo();
    await runGenerate(options({ json: true }), io);
    expect(JSON.parse(io.stdout.text)).toEqual(response());
    expect(io.stderr.text).toBe("");
  });

  test("reasoning and warnings go to stderr", async () => {
    mockEvents = async function* () {
      yield { type: "reasoning", text: "Hmm." };
      yield { type: "text", text: "Yes." };
      yield { type: "finish", response: response({ warnings: ["seed was ignored"] }) };
    };
    const io = new FakeIo();
    await runGenerate(options(), io);
    expect(io.stdout.text).toBe("Yes.\n");
    expect(io.stderr.text).toBe("Hmm.\nwarning: seed was ignored\n");
  });

  test("--hide-reasoning does not print it", async () => {
    mockEvents = async function* () {
      yield { type: "reasoning", text: "Hmm." };
      yield { type: "text", text: "Yes." };
      yield { type: "finish", response: response({ content: "Yes.", reasoning: "Hmm." }) };
    };
    for (const stream of [true, false]) {
      const io = new FakeIo();
      await runGenerate(options({ hideReasoning: true, stream }), io);
      expect([io.stdout.text, io.stderr.text]).toEqual(["Yes.\n", ""]);
    }
  });

  test("without streaming, reasoning comes before the content", async () => {
    mockEvents = async function* () {
      yield { type: "finish", response: response({ content: "Yes.", reasoning: "Hmm." }) };
    };
    const io = new FakeIo();
    await runGenerate(options({ stream: false }), io);
    expect([io.stdout.text, io.stderr.text]).toEqual(["Yes.\n", "Hmm.\n"]);
  });

  test("a warning is told once, though start and response have it", async () => {
    mockEvents = async function* () {
      const { value: start } = await events().next();
      yield { ...start, warnings: ["the first"] };
      yield { type: "text", text: "Yes." };
      yield { type: "finish", response: response({ warnings: ["the first", "the second"] }) };
    };
    const io = new FakeIo();
    await runGenerate(options(), io);
    expect(io.stderr.text).toBe("warning: the first\nwarning: the second\n");
  });

  test("a warning cannot steer the terminal", async () => {
    mockEvents = async function* () {
      yield { type: "finish", response: response({ warnings: ["a\x1b[2Jb\nc"] }) };
    };
    const io = new FakeIo();
    await runGenerate(options(), io);
    expect(io.stderr.text).toBe("warning: a [2Jb c\n");
  });

  test("what only mlx can do is told as lost where another provider answers", async () => {
    mockEvents = async function* () {
      yield { type: "finish", response: response({ provider: "ollama" }) };
    };
    const io = new FakeIo();
    const request = { providerOptions: { mlx: { raw: true, xtcThreshold: 0.1 } } };
    await runGenerate(options({ request, stream: false }), io);
    expect(io.stderr.text).toBe(
      "warning: --raw, --xtc-threshold had no effect: only mlx can do that, and ollama answers\n",
    );
  });

  test("--usage tells the token counts", async () => {
    const io = new FakeIo();
    await runGenerate(options({ usage: true }), io);
    expect(io.stderr.text).toBe("usage: 5 prompt tokens, 2 completion tokens, 7 in total\n");
  });

  test("--verbose tells model, times and attempts", async () => {
    const io = new FakeIo();
    await runGenerate(options({ verbose: true }), io);
    expect(io.stdout.text).toBe("Hello there\n");
    expect(io.stderr.text).toBe(
      "usage: 5 prompt tokens, 2 completion tokens, 7 in total\n" +
        "model: demo (mlx), finished by stop\n" +
        "time: 12 ms, 7.1 ms to the first token, 400 tokens/s\n" +
        "attempt 1 (leg 0): mlx demo: ok, 12 ms\n",
    );
  });

  test("on a terminal a waiting note shows until the first text", async () => {
    const io = new FakeIo({ isTTY: true });
    await runGenerate(options(), io);
    expect(io.stderr.text).toBe("Waiting for the model…\r\x1b[K");
    expect(io.stdout.text).toBe("Hello there\n");
  });

  test("a failure in the middle keeps the text, ends its line and closes the client", async () => {
    mockEvents = async function* () {
      yield { type: "text", text: "Hel" };
      throw new Error("broken");
    };
    const io = new FakeIo();
    await expect(runGenerate(options(), io)).rejects.toThrow("broken");
    expect(io.stdout.text).toBe("Hel\n");
    expect(mockCalls[0]?.closed).toBe(true);
  });
});
