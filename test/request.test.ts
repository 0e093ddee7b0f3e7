import { ValidationError } from "../src/errors.js";
import { checkRequest } from "../src/request.js";
import type { LLMRequest } from "../src/types.js";

function messageOf(request: unknown): string {
  try {
    checkRequest(request as LLMRequest);
  } catch (error) {
    expect(error).toBeInstanceOf(ValidationError);
    return (error as ValidationError).message;
  }
  throw new Error("The request was accepted.");
}

describe("accepts", () => {
  test("a string as one user message", () => {
    const message = { role: "user", content: "Hello" };
    expect(checkRequest("Hello").messages).toEqual([message]);
    expect(checkRequest({ messages: "Hello" }).messages).toEqual([message]);
  });

  test("a request with nothing but messages, and fills in the defaults", () => {
    const messages = [{ role: "user" as const, content: "Hello" }];
    expect(checkRequest({ messages })).toEqual({ messages, temperature: 0.7, stop: [] });
  });

  test("one stop text as a list of one", () => {
    expect(checkRequest({ messages: "Hello", stop: "\n" }).stop).toEqual(["\n"]);
  });

  test("every field of the contract at its limits", () => {
    const low: Required<Omit<LLMRequest, "stream">> = {
      messages: [
        { role: "system", content: "Be short." },
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image", image: new Uint8Array(3), mediaType: "image/png" },
          ],
        },
        { role: "assistant", content: "", toolCalls: [{ id: "1", name: "look", arguments: {} }] },
        { role: "tool", content: "", toolCallId: "1" },
      ],
      model: "demo",
      temperature: 0,
      maxTokens: 1,
      requestId: "mine",
      timeoutOverride: 0.5,
      topP: 0.01,
      topK: 0,
      minP: 0,
      seed: 0,
      stop: Array.from({ length: 16 }, String),
      repetitionPenalty: 0.1,
      presencePenalty: -2,
      frequencyPenalty: -2,
      logitBias: { 0: -100 },
      logprobs: true,
      topLogprobs: 0,
      tools: [{ type: "function", function: { name: "look", parameters: { type: "object" } } }],
      toolChoice: { type: "function", function: { name: "look" } },
      responseFormat: { type: "json_schema", schema: {} },
      reasoning: "low",
      signal: new AbortController().signal,
      providerOptions: {
        mlx: { raw: true, xtcProbability: 0.1, xtcThreshold: 0.5 },
        ollama: { keepAlive: 0, options: {} },
        lmstudio: { ttl: 1, body: {} },
      },
    };
    expect(checkRequest(low)).toEqual(low);
    const high = { temperature: 2, topP: 1, minP: 1, topLogprobs: 20, presencePenalty: 2 };
    expect(checkRequest({ messages: "Hello", ...high, stream: false })).toMatchObject(high);
  });

  test.each([[-1], [0.5], [2 ** 31 - 1], ["5m"], ["1h30m"], ["-1s"], ["1.5h"], [".5s"]])(
    "%j as the time that Ollama keeps a model",
    (keepAlive) => {
      const providerOptions = { ollama: { keepAlive } };
      expect(checkRequest({ messages: "Hello", providerOptions })).toMatchObject({
        providerOptions,
      });
    },
  );
});

describe("refuses", () => {
  test.each([
    [{ temperature: 3 }, "temperature is 3, but must be a number from 0 to 2"],
    [{ temperature: Number.NaN }, "temperature is NaN, but must be a number from 0 to 2"],
    [{ temperature: "0.5" }, 'temperature is "0.5", but must be a number from 0 to 2'],
    [{ maxTokens: 0 }, "maxTokens is 0, but must be a whole number from 1 to 2147483647"],
    [{ maxTokens: 1.5 }, "maxTokens is 1.5, but must be a whole number from 1 to 2147483647"],
    [{ topP: 0 }, "topP is 0, but must be a number from 0.000001 to 1"],
    [{ topP: 1.1 }, "topP is 1.1, but must be a number from 0.000001 to 1"],
    [{ topK: -1 }, "topK is -1, but must be a whole number, 0 or more"],
    [{ minP: 2 }, "minP is 2, but must be a number from 0 to 1"],
    [{ seed: 0.5 }, "seed is 0.5, but must be a whole number, 0 or more"],
    [{ stop: "" }, 'stop is "", but must be a text that is not empty'],
    [{ stop: ["a", ""] }, 'stop[1] is "", but must be a text that is not empty'],
    [{ stop: [] }, "stop is [], but must be a text, or 1 to 16 texts"],
    [
      { repetitionPenalty: 0 },
      "repetitionPenalty is 0, but must be a number from 0.000001 to 1000000",
    ],
    [{ repetitionPenalty: 1e300 }, "repetitionPenalty is 1e+300"],
    [{ maxTokens: 2 ** 40 }, "maxTokens is 1099511627776"],
    [{ topP: 1e-9 }, "topP is 1e-9"],
    [
      { providerOptions: { mlx: { promptLookup: 3 } } },
      "providerOptions.mlx.promptLookup is 3, but must be true, false or an object",
    ],
    [
      { providerOptions: { mlx: { promptLookup: { tokens: 65 } } } },
      "providerOptions.mlx.promptLookup.tokens is 65, but must be a whole number from 1 to 64",
    ],
    [
      { providerOptions: { mlx: { prefillStepSize: 10_000 } } },
      "providerOptions.mlx.prefillStepSize is 10000, but must be a whole number from 1 to 8192",
    ],
    ...["repetitionContextSize", "penaltyContextSize"].map((name): [object, string] => [
      { providerOptions: { mlx: { [name]: 2 ** 31 } } },
      `providerOptions.mlx.${name} is 2147483648, but must be a whole number from 1 to 2147483647`,
    ]),
    [{ presencePenalty: 3 }, "presencePenalty is 3, but must be a number from -2 to 2"],
    [{ logitBias: { 5: 101 } }, "logitBias.5 is 101, but must be a number from -100 to 100"],
    [{ logitBias: { the: 1 } }, 'logitBias is {"the":1}, but must be an object { token id: bias }'],
    [{ topLogprobs: 21 }, "topLogprobs is 21, but must be a whole number from 0 to 20"],
    [{ timeoutOverride: 0 }, "timeoutOverride is 0, but must be a number of seconds above 0"],
    [{ signal: {} }, "signal is {}, but must be an AbortSignal"],
    [
      { reasoning: "hard" },
      'reasoning is "hard", but must be true, false, "low", "medium", "high" or { effort, maxTokens }',
    ],
    [
      { reasoning: { maxTokens: 0 } },
      "reasoning.maxTokens is 0, but must be a whole number from 1 to",
    ],
    [{ toolChoice: "some" }, 'toolChoice is "some", but must be "auto", "none", "required"'],
    [
      { responseFormat: { type: "xml" } },
      'responseFormat.type is "xml", but must be "text", "json_object", "json_schema", "regex" or "grammar"',
    ],
    [{ tools: [{ type: "function" }] }, "tools[0].function is missing, but must be an object"],
    [
      { providerOptions: { mlx: { raw: 1 } } },
      "providerOptions.mlx.raw is 1, but must be true or false",
    ],
    ...["soon", "5", "5 m", "", -2, 2 ** 31, true].map((keepAlive): [object, string] => [
      { providerOptions: { ollama: { keepAlive } } },
      `providerOptions.ollama.keepAlive is ${JSON.stringify(keepAlive)}, but must be seconds, -1 ` +
        'for ever, or a duration such as "5m"',
    ]),
    [
      { providerOptions: { ollama: { options: { num_ctx: 1n } } } },
      "providerOptions.ollama.options is [object Object], but must be an object that can be",
    ],
    [
      { providerOptions: { ollama: { num_ctx: 8192 } } },
      "providerOptions.ollama.num_ctx is not a known field",
    ],
    [
      { providerOptions: { lmstudio: { ttl: 0.5 } } },
      "providerOptions.lmstudio.ttl is 0.5, but must be a whole number from 1 to 2147483647",
    ],
    [
      { providerOptions: { lmstudio: { body: [] } } },
      "providerOptions.lmstudio.body is [], but must be an object",
    ],
    [{ providerOptions: { vllm: {} } }, "providerOptions.vllm is not a known field"],
    [{ max_tokens: 5 }, "max_tokens is not a known field"],
    [{ messages: "" }, 'messages is "", but must be a prompt that is not empty'],
    [{ messages: " \n" }, 'messages is " \\n", but must be a prompt that is not empty'],
    [{ messages: [] }, "messages is [], but must be at least one message"],
    [{ messages: undefined }, "messages is missing, but must be a prompt or a list of messages"],
    [{ messages: 5 }, "messages is 5, but must be a prompt or a list of messages"],
    [
      { messages: [{ role: "me", content: "x" }] },
      'messages[0].role is "me", but must be "system", "user", "assistant" or "tool"',
    ],
    [
      { messages: [{ role: "user", content: "" }] },
      'messages[0].content is "", but must be text that is not empty',
    ],
    [
      { messages: [{ role: "user" }] },
      "messages[0].content is missing, but must be a string or a list of parts",
    ],
    [
      { messages: [{ role: "user", content: [] }] },
      "messages[0].content is [], but must be text that is not empty",
    ],
    [
      { messages: [{ role: "user", content: [{ type: "text" }] }] },
      "messages[0].content[0].text is missing, but must be a string",
    ],
    [
      { messages: [{ role: "user", content: [{ type: "video" }] }] },
      'messages[0].content[0].type is "video", but must be "text" or "image"',
    ],
    [
      { messages: [{ role: "user", content: "x", name: "me" }] },
      "messages[0].name is not a known field",
    ],
  ])("%j", (fields, problem) => {
    expect(messageOf({ messages: "Hello", ...fields })).toContain(problem);
  });

  test("template variables that cannot be written as JSON", () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    for (const templateVariables of [circular, { count: 1n }]) {
      expect(
        messageOf({ messages: "Hello", providerOptions: { mlx: { templateVariables } } }),
      ).toBe(
        "The request is wrong: providerOptions.mlx.templateVariables is [object Object], " +
          "but must be an object that can be written as JSON.",
      );
    }
  });

  test.each([[undefined], [null], [5], [[]]])("%j instead of a request", (request) => {
    expect(messageOf(request)).toContain("but must be a prompt or an object { messages }");
  });

  test("an empty string", () => {
    expect(messageOf("")).toContain("a prompt that is not empty");
  });

  test("several wrong fields with all of their names", () => {
    expect(messageOf({ messages: "Hello", temperature: 3, topK: -1, temprature: 1 })).toBe(
      "The request is wrong: temperature is 3, but must be a number from 0 to 2; " +
        "topK is -1, but must be a whole number, 0 or more; temprature is not a known field.",
    );
  });
});
