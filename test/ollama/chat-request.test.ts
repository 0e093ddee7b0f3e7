import { ValidationError } from "../../src/errors.js";
import {
  hasImages,
  mayPause,
  toChatBody,
  type WireMessage,
  warningsFor,
} from "../../src/ollama/chat-request.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest, Message, Tool } from "../../src/types.js";

const look: Tool = {
  type: "function",
  function: { name: "look", description: "Looks.", parameters: { type: "object" } },
};
const schema = { type: "object", properties: { answer: { type: "integer" } } };

/** The body as the server reads it. */
function bodyOf(request: Partial<LLMRequest>): Record<string, unknown> {
  const body = toChatBody(checkRequest({ messages: "Hello", ...request }), "llama3.2");
  return JSON.parse(JSON.stringify(body)) as Record<string, unknown>;
}

function messagesOf(...messages: Message[]): WireMessage[] {
  return bodyOf({ messages }).messages as WireMessage[];
}

describe("the body", () => {
  test("of a prompt has nothing that was not asked for", () => {
    expect(bodyOf({})).toEqual({
      model: "llama3.2",
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
      truncate: false,
      shift: false,
      options: { temperature: 0.7 },
    });
  });

  test("has every option under Ollama's name", () => {
    const request = {
      temperature: 0,
      maxTokens: 5,
      topP: 0.9,
      topK: 0,
      minP: 0.1,
      seed: 0,
      stop: ["a", "b"],
      repetitionPenalty: 1.1,
      presencePenalty: -1,
      frequencyPenalty: 2,
    };
    expect(bodyOf(request).options).toEqual({
      temperature: 0,
      num_predict: 5,
      top_p: 0.9,
      top_k: 0,
      min_p: 0.1,
      seed: 0,
      stop: ["a", "b"],
      repeat_penalty: 1.1,
      presence_penalty: -1,
      frequency_penalty: 2,
    });
  });

  test.each([
    [7, 7],
    [2 ** 32 - 2, 2 ** 32 - 2],
    [2 ** 32 - 1, 0],
    [2 ** 33 - 1, 1],
  ])("never has the seed that means a random one: %d becomes %d", (seed, sent) => {
    expect(bodyOf({ seed }).options).toMatchObject({ seed: sent });
  });

  test("lets Ollama's own options win", () => {
    const options = { num_ctx: 8192, temperature: 1.5, seed: null };
    const body = bodyOf({ seed: 1, topK: 3, providerOptions: { ollama: { options } } });
    expect(body.options).toEqual({ num_ctx: 8192, temperature: 1.5, seed: null, top_k: 3 });
  });

  test.each([["5m"], [60], [0], [-1]])("passes on keepAlive %j", (keepAlive) => {
    expect(bodyOf({ providerOptions: { ollama: { keepAlive } } })).toMatchObject({
      keep_alive: keepAlive,
    });
  });

  test.each([[true], [false], ["low"], ["medium"], ["high"]] as const)(
    "passes on reasoning %j",
    (reasoning) => {
      expect(bodyOf({ reasoning })).toMatchObject({ think: reasoning });
    },
  );

  test.each([
    [{ logprobs: true }, { logprobs: true }],
    [{ topLogprobs: 3 }, { logprobs: true, top_logprobs: 3 }],
    [{ logprobs: false }, {}],
  ])("of %j asks for %j", (request, expected) => {
    const { logprobs, top_logprobs } = bodyOf(request);
    expect({ logprobs, top_logprobs }).toEqual(expected);
  });

  test.each([
    [{ type: "json_object" }, "json"],
    [{ type: "json_schema", schema, name: "answer", strict: true }, schema],
    [{ type: "text" }, undefined],
  ] as const)("of the format %j has the format %j", (responseFormat, format) => {
    expect(bodyOf({ responseFormat }).format).toEqual(format);
  });

  test("has the tools, and parameters even where a function has none", () => {
    const nap: Tool = { type: "function", function: { name: "nap" } };
    const parameters = { type: "object", properties: {} };
    expect(bodyOf({ tools: [look, nap], toolChoice: "auto" }).tools).toEqual([
      look,
      { type: "function", function: { name: "nap", parameters } },
    ]);
  });

  test.each<Partial<LLMRequest>>([{ tools: [look], toolChoice: "none" }, { tools: [] }])(
    "of %j has no tools",
    (request) => {
      expect(bodyOf(request)).not.toHaveProperty("tools");
    },
  );
});

describe("messages", () => {
  test("of several parts become one text and a list of images", () => {
    const image = Uint8Array.of(1, 2, 3);
    const messages = messagesOf({
      role: "user",
      content: [
        { type: "text", text: "What is " },
        { type: "image", image, mediaType: "image/png" },
        { type: "text", text: "this?" },
        { type: "image", image: "data:image/png;base64,BAUG" },
      ],
    });
    expect(messages).toEqual([
      { role: "user", content: "What is this?", images: ["AQID", "BAUG"] },
    ]);
  });

  test("keep calls, their answers and the thoughts", () => {
    const [first, second] = [
      { id: "1", name: "look", arguments: { at: ["here"] } },
      { id: "2", name: "nap", arguments: {}, invalidArguments: "{" },
    ];
    const messages = messagesOf(
      { role: "system", content: "Be short." },
      { role: "assistant", content: "", reasoning: "Hm.", toolCalls: [first!, second!] },
      { role: "tool", content: "a bird", toolCallId: "1" },
      { role: "tool", content: "zzz", toolCallId: "2" },
      { role: "tool", content: "what?", toolCallId: "3" },
    );
    expect(messages).toEqual([
      { role: "system", content: "Be short." },
      {
        role: "assistant",
        content: "",
        thinking: "Hm.",
        tool_calls: [
          { id: "1", function: { name: "look", arguments: { at: ["here"] } } },
          { id: "2", function: { name: "nap", arguments: {} } },
        ],
      },
      { role: "tool", content: "a bird", tool_name: "look", tool_call_id: "1" },
      { role: "tool", content: "zzz", tool_name: "nap", tool_call_id: "2" },
      { role: "tool", content: "what?", tool_call_id: "3" },
    ]);
  });

  test.each([
    ["https://example.com/a.png"],
    ["http://example.com/a.png"],
    ["data:image/svg+xml,%3Csvg%3E"],
    ["data:image/png;base64,"],
    ["a.png"],
  ])("with the image %s are refused by name", (image) => {
    const refused = () =>
      messagesOf(
        { role: "user", content: "Hello" },
        {
          role: "user",
          content: [
            { type: "text", text: "x" },
            { type: "image", image },
          ],
        },
      );
    expect(refused).toThrow(ValidationError);
    expect(refused).toThrow(
      expect.objectContaining({
        code: "unsupported",
        provider: "ollama",
        hint: expect.any(String),
      }),
    );
    expect(refused).toThrow(`messages[1].content[1].image is "${image}", but Ollama takes images`);
  });

  test("are asked for images", () => {
    const content = [{ type: "image" as const, image: Uint8Array.of(1) }];
    expect(hasImages(checkRequest({ messages: [{ role: "user", content }] }))).toBe(true);
    expect(hasImages(checkRequest("Hello"))).toBe(false);
  });
});

test.each([
  [{}, false],
  [{ tools: [look] }, true],
  [{ tools: [look], toolChoice: "none" }, false],
  [{ reasoning: true }, false],
  [{ responseFormat: { type: "text" }, reasoning: true }, false],
  [{ responseFormat: { type: "json_object" }, reasoning: "low" }, true],
  // A model that can think does so unless it is told not to.
  [{ responseFormat: { type: "json_object" } }, true],
  [{ responseFormat: { type: "json_schema", schema }, reasoning: false }, false],
] as [Partial<LLMRequest>, boolean][])("a reply to %j may pause: %j", (request, pauses) => {
  expect(mayPause(checkRequest({ messages: "Hello", ...request }))).toBe(pauses);
});

test("options that Ollama does not know are warned of", () => {
  const options = { num_ctx: 1, num_ctxx: 2, top_k: 3, temprature: 1 };
  const request = checkRequest({ messages: "Hello", providerOptions: { ollama: { options } } });
  expect(warningsFor(request)).toEqual([
    expect.stringMatching(/^providerOptions\.ollama\.options\.num_ctxx may have no effect/),
    expect.stringMatching(/^providerOptions\.ollama\.options\.temprature may have no effect/),
  ]);
  expect(warningsFor(checkRequest("Hello"))).toEqual([]);
});
