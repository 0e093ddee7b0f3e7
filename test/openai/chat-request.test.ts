import { ValidationError } from "../../src/errors.js";
import { LM_STUDIO } from "../../src/lm-studio/server-kind.js";
import { toChatBody } from "../../src/openai/chat-request.js";
import { MLX_LM_SERVER } from "../../src/openai/mlx-lm-server.js";
import { OLLAMA_SERVER } from "../../src/openai/ollama-server.js";
import type { ServerKind } from "../../src/openai/server-kind.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest } from "../../src/types.js";

/** What is sent for a request; what JSON leaves out is left out. */
function sent(kind: ServerKind, fields: Partial<LLMRequest> = {}): Record<string, unknown> {
  const request = checkRequest({ messages: "Hi", ...fields });
  return JSON.parse(JSON.stringify(toChatBody(request, "tiny", kind))) as Record<string, unknown>;
}

const KINDS = { "LM Studio": LM_STUDIO, "mlx_lm.server": MLX_LM_SERVER, Ollama: OLLAMA_SERVER };
const WEATHER = {
  type: "function",
  function: { name: "get_weather", description: "Tells." },
} as const;
const SENT_WEATHER = {
  type: "function",
  function: { ...WEATHER.function, parameters: { type: "object", properties: {} } },
};
const NAP = {
  type: "function",
  function: { name: "nap", parameters: { type: "object" } },
} as const;

describe.each(Object.entries(KINDS))("%s", (_name, kind) => {
  test("is always asked for a stream with token counts", () => {
    expect(sent(kind)).toMatchObject({
      model: "tiny",
      messages: [{ role: "user", content: "Hi" }],
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.7,
    });
  });

  test("gets the options that all servers know", () => {
    const options = { maxTokens: 9, topP: 0.9, seed: 4, presencePenalty: 1, frequencyPenalty: -1 };
    expect(sent(kind, options)).toMatchObject({
      max_tokens: 9,
      top_p: 0.9,
      seed: 4,
      presence_penalty: 1,
      frequency_penalty: -1,
    });
  });

  test("gets tools, and parameters even for functions that have none", () => {
    expect(sent(kind, { tools: [WEATHER] }).tools).toEqual([SENT_WEATHER]);
  });

  test("gets no empty list of tools or calls, which some refuse", () => {
    const messages = [{ role: "assistant" as const, content: "Hm.", toolCalls: [] }];
    const body = sent(kind, { tools: [], messages });
    expect(body).not.toHaveProperty("tools");
    expect(body.messages).toEqual([{ role: "assistant", content: "Hm." }]);
  });

  test("gets no field of an option that it lacks", () => {
    const asked = {
      images: {},
      tools: {},
      toolChoice: {},
      stop: {},
      responseFormat: { responseFormat: { type: "json_object" } },
      reasoning: { reasoning: "low" },
      seed: { seed: 1 },
      topP: { topP: 0.5 },
      topK: { topK: 5 },
      minP: { minP: 0.1 },
      repetitionPenalty: { repetitionPenalty: 1.1 },
      presencePenalty: { presencePenalty: 1 },
      frequencyPenalty: { frequencyPenalty: 1 },
      logitBias: { logitBias: { 5: 1 } },
      logprobs: { logprobs: true },
    } as const;
    for (const [feature, fields] of Object.entries(asked)) {
      if (Object.keys(fields).length === 0) continue;
      const isSent = JSON.stringify(sent(kind, fields)) !== JSON.stringify(sent(kind));
      expect([feature, isSent]).toEqual([
        feature,
        kind.capabilities.has(feature as keyof typeof asked),
      ]);
    }
  });
});

describe("messages", () => {
  test("with parts of text alone are one text", () => {
    const content = [
      { type: "text", text: "Hello" },
      { type: "text", text: " there" },
    ] as const;
    const { messages } = sent(LM_STUDIO, { messages: [{ role: "user", content: [...content] }] });
    expect(messages).toEqual([{ role: "user", content: "Hello there" }]);
  });

  test("may show pictures as bytes, data or addresses", () => {
    const image = (value: string | Uint8Array, mediaType?: string) =>
      ({ type: "image", image: value, mediaType }) as const;
    const content = [
      { type: "text" as const, text: "What are these?" },
      image(Uint8Array.of(1, 2, 3), "image/png"),
      image("data:image/jpeg;base64,AAAA"),
      image("https://example.com/cat.png"),
    ];
    const { messages } = sent(LM_STUDIO, { messages: [{ role: "user", content }] });
    expect(messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "What are these?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AQID" } },
          { type: "image_url", image_url: { url: "data:image/jpeg;base64,AAAA" } },
          { type: "image_url", image_url: { url: "https://example.com/cat.png" } },
        ],
      },
    ]);
  });

  test.each([
    [OLLAMA_SERVER, "https://example.com/cat.png", "must be bytes or a data: URL"],
    [LM_STUDIO, "/home/me/cat.png", "must be bytes or a data: or http(s) URL"],
    [LM_STUDIO, Uint8Array.of(1), 'needs a mediaType such as "image/png"'],
  ])("with a picture that a server cannot get are refused", (kind, image, reason) => {
    const content = [{ type: "image" as const, image }];
    const send = () => sent(kind, { messages: [{ role: "user", content }] });
    expect(send).toThrow(ValidationError);
    expect(send).toThrow("messages[0].content[0]");
    expect(send).toThrow(reason);
  });

  test("of a conversation with tools keep its calls, results and thoughts", () => {
    const call = { id: "call_1", name: "get_weather", arguments: { city: "Paris" } };
    const broken = { id: "call_2", name: "nap", arguments: {}, invalidArguments: "{oops" };
    const messages: LLMRequest["messages"] = [
      { role: "system", content: "Be kind." },
      { role: "user", content: "Weather?" },
      { role: "assistant", content: "", reasoning: "I ask.", toolCalls: [call, broken] },
      { role: "tool", content: "Sunny", toolCallId: "call_1" },
    ];
    const { messages: wire } = sent(LM_STUDIO, { messages });
    expect(wire).toEqual([
      { role: "system", content: "Be kind." },
      { role: "user", content: "Weather?" },
      {
        role: "assistant",
        content: "",
        reasoning_content: "I ask.",
        tool_calls: [
          {
            id: "call_1",
            type: "function",
            function: { name: "get_weather", arguments: '{"city":"Paris"}' },
          },
          { id: "call_2", type: "function", function: { name: "nap", arguments: "{}" } },
        ],
      },
      { role: "tool", content: "Sunny", tool_call_id: "call_1" },
    ]);
    expect(sent(OLLAMA_SERVER, { messages }).messages).toContainEqual(
      expect.objectContaining({ role: "assistant", reasoning: "I ask." }),
    );
  });
});

describe("LM Studio", () => {
  test("gets its own names for sampling, and the time a model stays", () => {
    const options = { topK: 5, repetitionPenalty: 1.2, logitBias: { 15: -100 }, stop: "END" };
    const providerOptions = { lmstudio: { ttl: 300 } };
    expect(sent(LM_STUDIO, { ...options, providerOptions })).toMatchObject({
      top_k: 5,
      repeat_penalty: 1.2,
      logit_bias: { 15: -100 },
      stop: ["END"],
      ttl: 300,
    });
  });

  test.each([
    [true, "medium"],
    [false, "none"],
    ["high", "high"],
  ] as const)("gets reasoning %j as %s", (reasoning, effort) => {
    expect(sent(LM_STUDIO, { reasoning }).reasoning_effort).toBe(effort);
  });

  test("gets a schema of any object for json_object", () => {
    expect(sent(LM_STUDIO, { responseFormat: { type: "json_object" } }).response_format).toEqual({
      type: "json_schema",
      json_schema: { name: "response", schema: { type: "object" } },
    });
  });

  test("gets a schema with its name and strictness", () => {
    const schema = { type: "object", properties: {} };
    const format = { type: "json_schema", schema, name: "joke", strict: true } as const;
    expect(sent(LM_STUDIO, { responseFormat: format }).response_format).toEqual({
      type: "json_schema",
      json_schema: { name: "joke", strict: true, schema },
    });
    const text = { type: "text" } as const;
    expect(sent(LM_STUDIO, { responseFormat: text }).response_format).toEqual(text);
  });

  test.each(["auto", "none", "required"] as const)("gets the tool choice %s", (toolChoice) => {
    const body = sent(LM_STUDIO, { tools: [WEATHER, NAP], toolChoice });
    expect(body).toMatchObject({ tools: [SENT_WEATHER, NAP], tool_choice: toolChoice });
  });

  test("gets a tool that must be called as the only one", () => {
    const toolChoice = { type: "function", function: { name: "nap" } } as const;
    expect(sent(LM_STUDIO, { tools: [WEATHER, NAP], toolChoice })).toMatchObject({
      tools: [NAP],
      tool_choice: "required",
    });
    const send = () => sent(LM_STUDIO, { tools: [WEATHER], toolChoice });
    expect(send).toThrow(ValidationError);
    expect(send).toThrow('toolChoice names "nap"');
  });

  test("gets any other field, which wins", () => {
    const body = { min_p: 0.1, temperature: 1.5, chat_template_kwargs: { a: 1 } };
    expect(sent(LM_STUDIO, { providerOptions: { lmstudio: { body } } })).toMatchObject(body);
  });

  test.each(["model", "messages", "stream", "stream_options", "n"])(
    "never gets another %s",
    (field) => {
      const providerOptions = { lmstudio: { body: { [field]: 1 } } };
      const send = () => sent(LM_STUDIO, { providerOptions });
      expect(send).toThrow(ValidationError);
      expect(send).toThrow(`providerOptions.lmstudio.body must not set "${field}"`);
    },
  );
});

describe("mlx_lm.server", () => {
  test("gets its own names for sampling", () => {
    const options = { topK: 5, minP: 0.1, repetitionPenalty: 1.2, logitBias: { 15: -100 } };
    expect(sent(MLX_LM_SERVER, options)).toMatchObject({
      top_k: 5,
      min_p: 0.1,
      repetition_penalty: 1.2,
      logit_bias: { 15: -100 },
    });
  });

  test("gets a number of tokens, because it would stop after few, and no stop texts", () => {
    expect(sent(MLX_LM_SERVER, { stop: ["END"] })).toMatchObject({ max_tokens: 32_768 });
    expect(sent(MLX_LM_SERVER, { stop: ["END"] })).not.toHaveProperty("stop");
  });

  test.each([
    [true, { enable_thinking: true }],
    [false, { enable_thinking: false }],
    ["low", { enable_thinking: true, reasoning_effort: "low" }],
  ] as const)("gets reasoning %j as variables of the template", (reasoning, variables) => {
    expect(sent(MLX_LM_SERVER, { reasoning }).chat_template_kwargs).toEqual(variables);
  });

  test("gets the options of the MLX provider", () => {
    const mlx = {
      templateVariables: { tone: "kind" },
      xtcProbability: 1,
      xtcThreshold: 0.2,
      repetitionContextSize: 30,
      penaltyContextSize: 40,
    };
    const body = sent(MLX_LM_SERVER, { reasoning: false, providerOptions: { mlx } });
    expect(body).toMatchObject({
      chat_template_kwargs: { enable_thinking: false, tone: "kind" },
      xtc_threshold: 0.2,
      repetition_context_size: 30,
      presence_context_size: 40,
      frequency_context_size: 40,
    });
    // It wants a decimal point.
    expect(body.xtc_probability).toBeCloseTo(1, 6);
    expect(JSON.stringify(body.xtc_probability)).toContain(".");
  });

  test.each([
    { raw: true },
    { distributed: true },
    { prefillStepSize: 512 },
    { promptLookup: true },
    { mtp: true },
    { draftModel: "org/small" },
    { numDraftTokens: 4 },
  ])("refuses %j", (mlx) => {
    const send = () => sent(MLX_LM_SERVER, { providerOptions: { mlx } });
    expect(send).toThrow(ValidationError);
    expect(send).toThrow(`providerOptions.mlx.${Object.keys(mlx)[0]}`);
  });

  test("gets no tools where none may be called", () => {
    expect(sent(MLX_LM_SERVER, { tools: [WEATHER], toolChoice: "none" })).not.toHaveProperty(
      "tools",
    );
  });
});

describe("Ollama", () => {
  test("gets effort, format and log-probabilities as OpenAI names them", () => {
    const responseFormat = { type: "json_object" } as const;
    expect(sent(OLLAMA_SERVER, { reasoning: false, responseFormat, topLogprobs: 3 })).toMatchObject(
      {
        reasoning_effort: "none",
        response_format: responseFormat,
        logprobs: true,
        top_logprobs: 3,
      },
    );
  });

  test("gets no effort where any will do", () => {
    expect(sent(OLLAMA_SERVER, { reasoning: true })).not.toHaveProperty("reasoning_effort");
    expect(sent(OLLAMA_SERVER, { reasoning: "low" })).toMatchObject({ reasoning_effort: "low" });
  });

  test.each([{ keepAlive: 5 }, { options: { num_ctx: 8192 } }])("refuses %j here", (ollama) => {
    const send = () => sent(OLLAMA_SERVER, { providerOptions: { ollama } });
    expect(send).toThrow(ValidationError);
    expect(send).toThrow(`providerOptions.ollama.${Object.keys(ollama)[0]}`);
  });
});
