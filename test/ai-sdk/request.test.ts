import type { LanguageModelV3CallOptions, LanguageModelV3Message } from "@ai-sdk/provider";
import { UnsupportedFunctionalityError } from "ai";
import { requestOf } from "../../src/ai-sdk/request.js";
import type { LLMRequest } from "../../src/index.js";

const user: LanguageModelV3Message = { role: "user", content: [{ type: "text", text: "Hello" }] };

function request(options: Partial<LanguageModelV3CallOptions> & { reasoning?: string }) {
  return requestOf({ prompt: [user], ...options }, "m");
}

function messages(...prompt: LanguageModelV3Message[]) {
  const { request, warnings } = requestOf({ prompt }, "m");
  return { messages: request.messages, warnings };
}

const features = (warnings: object[]) =>
  warnings.map((warning) => (warning as { feature?: string }).feature);

describe("messages", () => {
  test("keep the turns of a conversation", () => {
    const { messages: said, warnings } = messages(
      { role: "system", content: "Be brief." },
      user,
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "Hm." },
          { type: "text", text: "I look." },
          { type: "tool-call", toolCallId: "1", toolName: "look", input: { at: "it" } },
          { type: "tool-call", toolCallId: "2", toolName: "look", input: "at it" },
        ],
      },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "1",
            toolName: "look",
            output: { type: "json", value: { seen: true } },
          },
          {
            type: "tool-result",
            toolCallId: "2",
            toolName: "look",
            output: { type: "execution-denied" },
          },
        ],
      },
    );
    expect(warnings).toEqual([]);
    expect(said).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
      {
        role: "assistant",
        content: "I look.",
        reasoning: "Hm.",
        toolCalls: [
          { id: "1", name: "look", arguments: { at: "it" } },
          { id: "2", name: "look", arguments: {}, invalidArguments: "at it" },
        ],
      },
      { role: "tool", toolCallId: "1", content: '{"seen":true}' },
      { role: "tool", toolCallId: "2", content: "The call was not allowed." },
    ]);
  });

  test("have images as bytes, as addresses and as base64", () => {
    const bytes = new Uint8Array([1, 2]);
    const file = { type: "file" as const, mediaType: "image/png" };
    const { messages: said } = messages({
      role: "user",
      content: [
        { ...file, data: bytes },
        { ...file, data: new URL("https://example.com/a.png") },
        { ...file, data: "AQI=" },
      ],
    });
    expect(said).toMatchObject([
      {
        content: [
          { type: "image", image: bytes, mediaType: "image/png" },
          { type: "image", image: "https://example.com/a.png" },
          { type: "image", image: "data:image/png;base64,AQI=" },
        ],
      },
    ]);
  });

  test("have the text of text files", () => {
    const data = Buffer.from("a,b").toString("base64");
    const content = [{ type: "file" as const, mediaType: "text/csv", data }];
    expect(messages({ role: "user", content }).messages).toEqual([
      { role: "user", content: "a,b" },
    ]);
  });

  test("have the pictures that tools give", () => {
    const value = [
      { type: "text" as const, text: "Here" },
      { type: "image-data" as const, data: "AQI=", mediaType: "image/png" },
    ];
    const output = { type: "content" as const, value };
    const result = { type: "tool-result" as const, toolCallId: "1", toolName: "draw", output };
    expect(messages(user, { role: "tool", content: [result] }).messages).toMatchObject([
      {},
      { role: "tool", content: [{ text: "Here" }, { image: "data:image/png;base64,AQI=" }] },
    ]);
  });

  test.each([
    ["application/pdf", "AQI="],
    ["image/png", { type: "reference", reference: { openai: "file-1" } } as never],
    ["text/plain", new URL("https://example.com/a.txt")],
  ])("refuse a file of type %s that no provider can read", (mediaType, data) => {
    const ask = () => messages({ role: "user", content: [{ type: "file", mediaType, data }] });
    expect(ask).toThrow("is not supported");
    let error: unknown;
    try {
      ask();
    } catch (thrown) {
      error = thrown;
    }
    expect(UnsupportedFunctionalityError.isInstance(error)).toBe(true);
  });

  test("leave out with a warning what only other providers understand", () => {
    const { warnings } = messages(user, {
      role: "assistant",
      content: [
        { type: "text", text: "I searched." },
        { type: "tool-call", toolCallId: "1", toolName: "s", input: {}, providerExecuted: true },
      ],
    });
    expect(features(warnings)).toEqual(["tool-call of another provider"]);
  });
});

describe("settings", () => {
  test("are left out where they are not given", () => {
    expect(request({ stopSequences: [], tools: [] })).toEqual({
      request: { model: "m", messages: [{ role: "user", content: "Hello" }] },
      warnings: [],
    });
  });

  const choices: [LanguageModelV3CallOptions["toolChoice"], LLMRequest["toolChoice"]][] = [
    [{ type: "auto" }, "auto"],
    [{ type: "none" }, "none"],
    [{ type: "required" }, "required"],
    [
      { type: "tool", toolName: "look" },
      { type: "function", function: { name: "look" } },
    ],
  ];
  test.each(choices)("say which tool is to be called: %j", (toolChoice, expected) => {
    expect(request({ toolChoice }).request.toolChoice).toEqual(expected);
  });

  test("ask for JSON, or for JSON of a schema", () => {
    const format = (responseFormat: LanguageModelV3CallOptions["responseFormat"]) =>
      request({ responseFormat }).request.responseFormat;
    expect(format({ type: "text" })).toBeUndefined();
    expect(format({ type: "json" })).toEqual({ type: "json_object" });
    const schema = { type: "object" as const };
    expect(format({ type: "json", schema, name: "it", description: "An it" })).toEqual({
      type: "json_schema",
      name: "it",
      schema: { description: "An it", type: "object" },
    });
  });

  test("warn of what tools have that is not kept", () => {
    const inputSchema = { type: "object" as const };
    const { request: made, warnings } = request({
      tools: [
        { type: "provider", id: "openai.search", name: "search", args: {} },
        { type: "function", name: "look", inputSchema, strict: true, inputExamples: [] },
      ],
    });
    expect(made.tools).toEqual([
      { type: "function", function: { name: "look", parameters: inputSchema } },
    ]);
    expect(features(warnings)).toEqual([
      `the provider's tool "openai.search"`,
      'strict mode of the tool "look"',
      'input examples of the tool "look"',
    ]);
  });

  test.each([
    ["none", false, 0],
    ["high", "high", 0],
    ["xhigh", "high", 1],
    ["provider-default", undefined, 0],
    ["endless", undefined, 1],
  ])("say how hard to think, in the words of version 7: %s", (reasoning, expected, count) => {
    const { request: made, warnings } = request({ reasoning });
    expect(made.reasoning).toBe(expected);
    expect(warnings).toHaveLength(count);
  });

  test("of this provider alone stand under its name", () => {
    const own = { responseFormat: { type: "regex", pattern: "a+" }, reasoning: { maxTokens: 9 } };
    expect(request({ providerOptions: { mlxLlmClient: own } }).request).toMatchObject(own);
  });
});
