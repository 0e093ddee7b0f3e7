import { LLMError, ModelNotFoundError, ProtocolError } from "../../src/errors.js";
import { LM_STUDIO } from "../../src/lm-studio/server-kind.js";
import { ChatReply } from "../../src/openai/chat-reply.js";
import { MLX_LM_SERVER } from "../../src/openai/mlx-lm-server.js";
import type { ServerKind } from "../../src/openai/server-kind.js";
import type { ProviderEvent } from "../../src/providers/provider.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest } from "../../src/types.js";

const SECRET = "sk-lm-abcdefgh:0123456789";
const TOOLS: LLMRequest["tools"] = [{ type: "function", function: { name: "look" } }];

function newReply(fields: Partial<LLMRequest> = {}, kind: ServerKind = LM_STUDIO): ChatReply {
  return new ChatReply({
    request: checkRequest({ messages: "Hi", ...fields }),
    model: "tiny",
    kind,
    where: { provider: kind.provider, url: "http://localhost:1", model: "tiny", secret: SECRET },
    warnings: ["careful"],
    startedAt: performance.now(),
  });
}

/** A chunk with such a delta; its choice and itself may have more fields. */
function chunk(delta: object, choice: object = {}, fields: object = {}) {
  const choices = [{ index: 0, delta, logprobs: null, finish_reason: null, ...choice }];
  return { object: "chat.completion.chunk", model: "tiny", choices, ...fields };
}

const finish = (reason: unknown) => chunk({}, { finish_reason: reason });
const usage = (completion_tokens: number) => ({
  model: "tiny",
  choices: [],
  usage: { prompt_tokens: 5, completion_tokens, total_tokens: 5 + completion_tokens },
});

const events = (...chunks: (object | string)[]) =>
  chunks.map((value) => ({ data: typeof value === "string" ? value : JSON.stringify(value) }));

/** What comes of events that arrive together. */
function read(reply: ChatReply, ...arrived: { event?: string; data: string }[]): ProviderEvent[] {
  const batch: ProviderEvent[] = [];
  reply.read(arrived, batch);
  return batch;
}

/** All that comes of a stream of such chunks. */
/** What is delivered, from beginning to end. */
function told(reply: ChatReply, ...chunks: (object | string)[]): ProviderEvent[] {
  const all = [...read(reply, ...events(...chunks)), ...reply.end()];
  return all.filter(({ type }) => type !== "progress");
}

function textOf(all: ProviderEvent[]): string {
  return all.map((event) => (event.type === "text" ? event.text : "")).join("");
}

function failureOf(read: () => unknown): LLMError {
  try {
    read();
  } catch (error) {
    if (LLMError.is(error)) return error;
    throw error;
  }
  throw new Error("It did not fail.");
}

describe("a reply", () => {
  test("has a start, its text in one piece where it came together, and a finish", () => {
    const chunks = [
      chunk({ role: "assistant" }),
      chunk({ content: "Hel" }),
      chunk({ content: "lo" }),
    ];
    const more = [finish("stop"), usage(3), "[DONE]"];
    expect(told(newReply(), ...chunks, ...more)).toEqual([
      { type: "start", model: "tiny", warnings: ["careful"] },
      { type: "text", text: "Hello" },
      {
        type: "finish",
        finishReason: "stop",
        usage: {
          promptTokens: 5,
          completionTokens: 3,
          totalTokens: 8,
          cachedTokens: undefined,
          reasoningTokens: undefined,
        },
        timings: { firstTokenMs: expect.any(Number) },
        logprobs: undefined,
      },
    ]);
  });

  test("starts with the model as the server calls it", () => {
    const [start] = told(
      newReply(),
      chunk({ content: "Hi" }, {}, { model: "me/tiny" }),
      finish("stop"),
    );
    expect(start).toMatchObject({ type: "start", model: "me/tiny" });
  });

  test("may come from a model that another server than LM Studio calls differently", () => {
    const aliased = chunk({ content: "Hi" }, {}, { model: "huge", system_fingerprint: "fp_1" });
    expect(told(newReply(), aliased, finish("stop"))[0]).toMatchObject({
      model: "huge",
      warnings: ["careful", '"huge" answered for "tiny"'],
    });
  });

  test("starts with the model that was asked for where the server names none", () => {
    const unnamed = chunk({ content: "Hi" }, {}, { model: "" });
    expect(told(newReply(), unnamed, finish("stop"))[0]).toMatchObject({ model: "tiny" });
  });

  test("of nothing but empty pieces has no text", () => {
    const empty = chunk({
      role: "assistant",
      content: "",
      tool_calls: null,
      reasoning_content: null,
    });
    const reply = newReply();
    expect(read(reply, ...events(empty, empty)).map(({ type }) => type)).toEqual(["start"]);
  });

  test.each(["reasoning_content", "reasoning"])("has thoughts from %s", (field) => {
    const chunks = [chunk({ [field]: "H" }), chunk({ [field]: "m." }), chunk({ content: "Yes." })];
    expect(told(newReply(), ...chunks, finish("stop")).slice(1, 3)).toEqual([
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "Yes." },
    ]);
  });

  test.each([
    ["stop", "stop"],
    ["length", "length"],
    ["content_filter", "content_filter"],
    ["eos", "other"],
    ["constructor", "other"],
  ])("that ends with %s finishes with %s", (reason, finishReason) => {
    expect(told(newReply(), chunk({ content: "Hi" }), finish(reason)).at(-1)).toMatchObject({
      type: "finish",
      finishReason,
    });
  });

  test("may have a list of parts as its content", () => {
    const thinking = [{ type: "text", text: "H" }, { text: "m." }, null, 5];
    const parts = [{ type: "thinking", thinking }, { type: "text", text: "Yes" }, { type: "odd" }];
    const chunks = [chunk({ content: parts }), chunk({ content: [{ type: "text", text: "." }] })];
    expect(told(newReply(), ...chunks, finish("stop")).slice(1, 3)).toEqual([
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "Yes." },
    ]);
  });

  test("may be a refusal, which is told in a warning", () => {
    const chunks = [chunk({ content: null, refusal: "I will" }), chunk({ refusal: " not." })];
    expect(told(newReply(), ...chunks, finish("stop")).slice(1)).toMatchObject([
      { type: "text", text: "I will not." },
      { type: "finish", finishReason: "stop", warnings: ["the model refused to answer"] },
    ]);
  });

  test("may say its last words with the reason of its end", () => {
    const last = chunk({ content: "o" }, { finish_reason: "stop" });
    expect(told(newReply(), chunk({ content: "N" }), last)[1]).toEqual({
      type: "text",
      text: "No",
    });
  });

  test("has ended with its finish, and is done with [DONE]", () => {
    const reply = newReply();
    read(reply, ...events(chunk({ content: "Hi" })));
    expect([reply.hasEnded, reply.isDone]).toEqual([false, false]);
    read(reply, ...events(finish("stop")));
    expect([reply.hasEnded, reply.isDone]).toEqual([true, false]);
    expect(read(reply, ...events("[DONE]", chunk({ content: "late" }), "{"))).toEqual([]);
    expect([reply.hasEnded, reply.isDone]).toEqual([true, true]);
  });

  test("may come as one object, with its tool calls", () => {
    const reply = newReply({ tools: TOOLS });
    const message = {
      role: "assistant",
      content: "Wait.",
      reasoning_content: "Hm.",
      tool_calls: [{ id: "a", type: "function", function: { name: "look", arguments: "{}" } }],
    };
    const body = {
      model: "tiny",
      choices: [{ message, finish_reason: "tool_calls" }],
      usage: usage(9).usage,
    };
    expect([...reply.readWhole(body), ...reply.end()]).toMatchObject([
      { type: "start" },
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "Wait." },
      { type: "tool-call-delta", argumentsDelta: "{}" },
      { type: "tool-call", toolCall: { id: "a", name: "look", arguments: {} } },
      { type: "finish", finishReason: "tool_calls", usage: { completionTokens: 9 } },
    ]);
  });

  test("has no marks of LM Studio in it", () => {
    const marker = `__LM_STUDIO_INTERNAL_LSEP_SYNTHETIC_REASONING_END_${"ab12".repeat(8)}__`;
    const pieces = [`Hm.${marker.slice(0, 20)}`, `${marker.slice(20)}Yes_`];
    const chunks = pieces.map((content) => chunk({ content }));
    expect(textOf(told(newReply(), ...chunks, finish("stop")))).toBe("Hm.Yes_");
  });
});

describe("the end of a reply", () => {
  test("without a finish but with [DONE] is told in a warning", () => {
    expect(told(newReply(), chunk({ content: "Hi" }), "[DONE]").at(-1)).toMatchObject({
      finishReason: "other",
      warnings: ["the server did not tell why the reply ended"],
    });
  });

  test("without a finish and [DONE] is an error", () => {
    const failure = failureOf(() => told(newReply(), chunk({ content: "Hi" })));
    expect(failure).toBeInstanceOf(ProtocolError);
    expect(failure).toMatchObject({
      code: "stream_truncated",
      provider: "lmstudio",
      model: "tiny",
      url: "http://localhost:1",
    });
    expect(JSON.stringify({ ...failure })).not.toContain(SECRET);
  });

  test("in the middle of a tool call is an error, not a call", () => {
    const call = { index: 0, id: "a", function: { name: "look", arguments: '{"at":' } };
    const failure = failureOf(() =>
      told(newReply({ tools: TOOLS }), chunk({ tool_calls: [call] })),
    );
    expect(failure.code).toBe("stream_truncated");
  });

  test.each([
    ["nothing at all", []],
    ["[DONE] alone", ["[DONE]"]],
    ["a finish alone", [finish("stop"), "[DONE]"]],
    ["a finish after no tokens", [finish("stop"), usage(0), "[DONE]"]],
    ["a role and [DONE]", [chunk({ role: "assistant" }), "[DONE]"]],
  ])("after %s is an empty response", (_name, chunks) => {
    const failure = failureOf(() => told(newReply(), ...chunks));
    expect(failure).toBeInstanceOf(ProtocolError);
    expect(failure.code).toBe("empty_response");
  });

  test.each([
    ["after tokens that are no text", [finish("stop"), usage(1)]],
    ["where the content was withheld", [finish("content_filter")]],
  ])("without content is fine %s", (_name, chunks) => {
    expect(told(newReply(), ...chunks).map(({ type }) => type)).toEqual(["start", "finish"]);
  });

  test("tells how fast it came, from eight tokens on", async () => {
    const timingsAfter = async (tokens: number) => {
      const reply = newReply();
      read(reply, ...events(chunk({ content: "a" })));
      await new Promise((resolve) => setTimeout(resolve, 20));
      read(reply, ...events(chunk({ content: "b" }), finish("stop"), usage(tokens)));
      return (reply.end().at(-1) as ProviderEvent & { type: "finish" }).timings;
    };
    const { firstTokenMs, tokensPerSecond } = await timingsAfter(9);
    expect(firstTokenMs).toBeGreaterThanOrEqual(0);
    expect(tokensPerSecond).toBeGreaterThan(0);
    expect(tokensPerSecond).toBeLessThanOrEqual(8 / 0.019);
    expect((await timingsAfter(7)).tokensPerSecond).toBeUndefined();
  });

  test("tells no speed where all of it came together", () => {
    const chunks = [chunk({ reasoning: "Hm." }), chunk({ content: "a" }), finish("stop")];
    const { timings } = told(newReply(), ...chunks, usage(99)).at(-1) as ProviderEvent & {
      type: "finish";
    };
    expect(timings.tokensPerSecond).toBeUndefined();
  });

  test("has the log-probabilities of all chunks", () => {
    const entry = (token: string, fields: object = {}) => ({ token, logprob: -0.5, ...fields });
    const logprobs = (...content: object[]) => ({ logprobs: { content } });
    const [first, second] = [
      entry("Hi", { bytes: [72, 105], top_logprobs: [entry("Hi"), entry("Ho", { id: 7 })] }),
      entry("\uFFFD", { bytes: [240, 159], top_logprobs: [] }),
    ];
    const chunks = [chunk({ content: "Hi" }, logprobs(first)), chunk({}, logprobs(second))];
    expect(told(newReply(), ...chunks, finish("stop")).at(-1)).toMatchObject({
      logprobs: [
        {
          token: "Hi",
          logprob: -0.5,
          topLogprobs: [
            { token: "Hi", logprob: -0.5 },
            { token: "Ho", logprob: -0.5, tokenId: 7 },
          ],
        },
        { token: "\uFFFD", logprob: -0.5, bytes: [240, 159], topLogprobs: [] },
      ],
    });
  });

  test("has the counts that the server tells, and no others", () => {
    const counts = {
      prompt_tokens: 5,
      completion_tokens: "3",
      total_tokens: -1,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 2 },
    };
    const last = { model: "tiny", choices: [], usage: counts };
    const end = told(newReply(), chunk({ content: "Hi" }), finish("stop"), last).at(-1);
    expect(end).toMatchObject({
      usage: {
        promptTokens: 5,
        completionTokens: undefined,
        totalTokens: undefined,
        cachedTokens: 4,
        reasoningTokens: 2,
      },
    });
  });
});

describe("tool calls", () => {
  const call = { index: 0, id: "a", function: { name: "look", arguments: "{}" } };

  test("come at the end, and are why the reply ended, whatever the server says", () => {
    const chunks = [
      chunk({ content: "Wait." }),
      chunk({ tool_calls: [call] }),
      finish("stop"),
      "[DONE]",
    ];
    expect(told(newReply({ tools: TOOLS }), ...chunks).slice(1)).toMatchObject([
      { type: "text", text: "Wait." },
      { type: "tool-call-delta", index: 0, id: "a", name: "look", argumentsDelta: "{}" },
      { type: "tool-call", toolCall: { id: "a", name: "look" } },
      { type: "finish", finishReason: "tool_calls" },
    ]);
  });

  test("deliver their arguments as they come, once their names are known", () => {
    const reply = newReply({ tools: TOOLS });
    const next = (fragment: object) => read(reply, ...events(chunk({ tool_calls: [fragment] })));
    next({ index: 0, id: "a", function: { name: "look", arguments: "" } });
    const delta = { type: "tool-call-delta", index: 0, id: "a", name: "look" };
    expect(next({ index: 0, function: { arguments: '{"at":' } })).toEqual([
      { ...delta, argumentsDelta: '{"at":' },
    ]);
    expect(next({ index: 1, id: "b", function: { arguments: "{" } })).toEqual([
      { type: "progress" },
    ]);
    expect(next({ index: 1, function: { name: "look", arguments: "}" } })).toEqual([
      { ...delta, index: 1, id: "b", argumentsDelta: "{}" },
    ]);
    expect(next({ index: 1, function: { arguments: "" } })).toEqual([{ type: "progress" }]);
    expect(read(reply, ...events(chunk({ role: "assistant" })))).toEqual([]);
  });

  test.each(["tool_calls", "function_call"])("may be the reason of the end: %s", (reason) => {
    const chunks = [chunk({ tool_calls: [call] }), finish(reason)];
    expect(told(newReply({ tools: TOOLS }), ...chunks).at(-1)).toMatchObject({
      finishReason: "tool_calls",
    });
  });

  test("that are told of but missing are no reason to end", () => {
    const chunks = [chunk({ content: "Wait." }), finish("tool_calls")];
    expect(told(newReply({ tools: TOOLS }), ...chunks).at(-1)).toMatchObject({
      finishReason: "other",
      warnings: ["the server told of tool calls, but sent none"],
    });
  });

  test.each(["length", "content_filter"])("that were cut say so: %s", (reason) => {
    const cut = { ...call, function: { name: "look", arguments: '{"at":' } };
    const all = told(newReply({ tools: TOOLS }), chunk({ tool_calls: [cut] }), finish(reason));
    expect(all.slice(1)).toMatchObject([
      { type: "tool-call-delta", argumentsDelta: '{"at":' },
      { type: "tool-call", toolCall: { invalidArguments: '{"at":' } },
      { type: "finish", finishReason: reason },
    ]);
  });

  test("without a name are an error", () => {
    const nameless = { index: 0, id: "a", function: { arguments: "{}" } };
    const failure = failureOf(() =>
      told(newReply({ tools: TOOLS }), chunk({ tool_calls: [nameless] }), finish("tool_calls")),
    );
    expect(failure.code).toBe("protocol");
  });

  test.each([["required"], [{ type: "function", function: { name: "look" } }]] as const)(
    "that are missing although they were demanded are told in a warning",
    (toolChoice) => {
      const reply = newReply({ tools: TOOLS, toolChoice });
      expect(told(reply, chunk({ content: "No." }), finish("stop")).at(-1)).toMatchObject({
        warnings: ["the reply has no tool call, though toolChoice demands one"],
      });
    },
  );
});

describe("what the server does not do as asked", () => {
  test("thoughts that were turned off are told in a warning", () => {
    const reply = newReply({ reasoning: false });
    const chunks = [chunk({ reasoning: "Hm." }), chunk({ content: "Yes." }), finish("stop")];
    expect(told(reply, ...chunks).at(-1)).toMatchObject({
      warnings: ["the model reasoned, though reasoning was turned off"],
    });
  });

  test("JSON that came as reasoning is the reply", () => {
    const reply = newReply({ responseFormat: { type: "json_object" } });
    const chunks = [chunk({ reasoning_content: '{"a":' }), chunk({ reasoning_content: "1}" })];
    expect(told(reply, ...chunks, finish("stop")).slice(1)).toMatchObject([
      { type: "reasoning", text: '{"a":1}' },
      { type: "text", text: '{"a":1}' },
      { warnings: [expect.stringContaining("came as reasoning")] },
    ]);
  });

  test("thoughts before JSON stay thoughts", () => {
    const reply = newReply({ responseFormat: { type: "json_object" } });
    const chunks = [chunk({ reasoning_content: "Hm." }), chunk({ content: "{}" })];
    expect(told(reply, ...chunks, finish("stop")).slice(1, -1)).toEqual([
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "{}" },
    ]);
  });
});

describe("stop texts that the server cannot be trusted with", () => {
  test("end the reply where they are found, across pieces", () => {
    const reply = newReply({ stop: "END" }, MLX_LM_SERVER);
    expect(
      read(reply, ...events(chunk({ content: "one E" }), chunk({ content: "ND two" }))),
    ).toMatchObject([{ type: "start" }, { type: "text", text: "one " }]);
    expect(reply.isStopped).toBe(true);
    expect(read(reply, ...events(chunk({ content: "three" })))).toEqual([]);
    expect(reply.end()).toMatchObject([{ type: "finish", finishReason: "stop" }]);
  });

  test("may be all that was said", () => {
    const reply = newReply({ stop: "END" }, MLX_LM_SERVER);
    expect(told(reply, chunk({ content: "END" }))).toMatchObject([
      { type: "start" },
      { type: "finish" },
    ]);
  });

  test("that are not completed are text", () => {
    const reply = newReply({ stop: "END" }, MLX_LM_SERVER);
    const all = told(reply, chunk({ content: "one EN" }), finish("stop"));
    expect(textOf(all)).toBe("one EN");
  });
});

describe("what is no reply", () => {
  const HUGE = { model: "huge", system_fingerprint: "huge" };

  test("another model is an error before anything is delivered", () => {
    const failure = failureOf(() =>
      read(newReply(), ...events(chunk({ content: "Hi" }, {}, HUGE))),
    );
    expect(failure).toBeInstanceOf(ModelNotFoundError);
    expect(failure).toMatchObject({ code: "model_mismatch", model: "tiny", provider: "lmstudio" });
    expect(failure.message).toContain('"tiny"');
    expect(failure.message).toContain('"huge"');
  });

  test.each(["{", "[]", "5", "null", '"text"', ""])("a chunk %j is an error", (data) => {
    expect(failureOf(() => read(newReply(), { data }))).toMatchObject({
      name: "ProtocolError",
      code: "protocol",
    });
  });

  test.each([[[]], [undefined], [{}], ["text"], [{ choices: null }]])(
    "a whole answer %j is an error",
    (body) => {
      expect(failureOf(() => newReply().readWhole(body))).toMatchObject({ code: "protocol" });
    },
  );

  test.each([
    [
      "an event",
      [{ event: "error", data: '{"error":{"message":"it broke"},"message":"it broke"}' }],
    ],
    ["an event without that field", [{ event: "error", data: '{"message":"it broke"}' }]],
    ["a chunk with an object", [{ data: '{"error":{"message":"it broke"}}' }]],
    ["a chunk with a text", [{ data: '{"error":"it broke"}' }]],
    ["an event that is no JSON", [{ event: "error", data: "it broke" }]],
    ["a chunk of vLLM", [{ data: '{"object":"error","message":"it broke","code":400}' }]],
    ["a choice", [{ data: '{"choices":[{"error":{"code":502,"message":"it broke"}}]}' }]],
  ])("%s of an error is that error", (_name, sent) => {
    const reply = newReply();
    read(reply, ...events(chunk({ content: "Hi" })));
    const failure = failureOf(() => read(reply, ...sent));
    expect(failure.message).toContain("it broke");
    expect(failure).toMatchObject({ provider: "lmstudio", model: "tiny" });
  });

  test("a reply that ends with an error is one, after what came before it", () => {
    const batch: ProviderEvent[] = [];
    const last = chunk({ content: "half" }, { finish_reason: "error" });
    const failure = failureOf(() => newReply().read(events(last), batch));
    expect(failure).toMatchObject({ code: "server_error", retryable: true });
    expect(textOf(batch)).toBe("half");
  });

  test.each([null, "", false])("a chunk whose error is %j is none", (error) => {
    const all = told(newReply(), chunk({ content: "Hi" }, {}, { error }), finish("stop"));
    expect(textOf(all)).toBe("Hi");
  });

  test("a whole answer that is an error is that error", () => {
    expect(failureOf(() => newReply().readWhole({ error: "it broke" })).message).toContain(
      "it broke",
    );
  });
});
