import { ModelNotFoundError, ProtocolError } from "../../src/errors.js";
import { ChatReply } from "../../src/ollama/chat-reply.js";

const END = {
  model: "tiny",
  message: { role: "assistant", content: "" },
  done: true,
  done_reason: "stop",
  total_duration: 5e9,
  load_duration: 1e9,
  prompt_eval_count: 20,
  prompt_eval_duration: 1e9,
  eval_count: 30,
  eval_duration: 2e9,
};

function newReply(warnings: string[] = []): ChatReply {
  const where = { provider: "ollama", url: "http://localhost:1", model: "tiny" } as const;
  return new ChatReply({ model: "tiny", where, warnings, startedAt: performance.now() });
}

function line(message: object, more: object = {}): object {
  return {
    model: "tiny",
    message: { role: "assistant", content: "", ...message },
    done: false,
    ...more,
  };
}

function eventsOf(...lines: unknown[]) {
  const reply = newReply();
  return [...reply.read(lines), reply.finish()];
}

/** The calls that a message with such `tool_calls` makes. */
function callsOf(...tool_calls: unknown[]) {
  return eventsOf(line({ tool_calls }), END).flatMap((event) =>
    event.type === "tool-call" ? [event.toolCall] : [],
  );
}

describe("a reply", () => {
  test("starts once, with the model as the server names it and the warnings", () => {
    const reply = newReply(["careful"]);
    const first = reply.read([line({ content: "Hel" }, { model: "tiny:latest" })]);
    expect(first).toEqual([
      { type: "start", model: "tiny:latest", warnings: ["careful"] },
      { type: "text", text: "Hel" },
    ]);
    expect(reply.read([line({ content: "lo" })])).toEqual([{ type: "text", text: "lo" }]);
  });

  test("that came together is one text", () => {
    const events = eventsOf(line({ content: "Hel" }), line({ content: "lo" }), END);
    expect(events.slice(1, -1)).toEqual([{ type: "text", text: "Hello" }]);
  });

  test("has its thoughts apart from its text", () => {
    const events = eventsOf(
      line({ thinking: "H" }),
      line({ thinking: "m.", content: "Yes" }),
      line({ content: "." }),
      END,
    );
    expect(events.slice(1, -1)).toEqual([
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "Yes." },
    ]);
  });

  test("ends with counts and Ollama's own speeds", () => {
    expect(eventsOf(line({ content: "Hello" }), END).at(-1)).toEqual({
      type: "finish",
      finishReason: "stop",
      usage: { promptTokens: 20, completionTokens: 30, totalTokens: 50 },
      timings: {
        firstTokenMs: expect.any(Number),
        promptTokensPerSecond: 20,
        tokensPerSecond: 15,
      },
    });
  });

  test("has only the counts that it tells", () => {
    const { prompt_eval_count: _count, ...uncounted } = END;
    expect(eventsOf(line({ content: "Hello" }), uncounted).at(-1)).toMatchObject({
      usage: { promptTokens: undefined, completionTokens: 30, totalTokens: undefined },
      timings: { promptTokensPerSecond: undefined, tokensPerSecond: 15 },
    });
    const short = { ...END, eval_count: 7, prompt_eval_duration: 0 };
    expect(eventsOf(line({ content: "Hello" }), short).at(-1)).toMatchObject({
      usage: { promptTokens: 20, completionTokens: 7, totalTokens: 27 },
      timings: { promptTokensPerSecond: undefined, tokensPerSecond: undefined },
    });
  });

  test.each([
    ["stop", "stop"],
    ["length", "length"],
    ["load", "other"],
    ["unload", "other"],
    ["", "other"],
    [undefined, "other"],
  ])("that is done because of %j finished with %s", (done_reason, finishReason) => {
    const finish = eventsOf(line({ content: "Hello" }), { ...END, done_reason }).at(-1);
    expect(finish).toMatchObject({ finishReason });
  });

  test("may say its last words in its last line", () => {
    const message = { role: "assistant", content: "{", thinking: "Hm." };
    expect(eventsOf({ ...END, message }).slice(1, -1)).toEqual([
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "{" },
    ]);
  });

  test("is over at its end", () => {
    const reply = newReply();
    reply.read([line({ content: "Hello" })]);
    expect(reply.isDone).toBe(false);
    reply.read([END]);
    expect(reply.isDone).toBe(true);
    expect(reply.read([line({ content: "?" }), { error: "late" }, 5])).toEqual([]);
    expect(reply.finish()).toMatchObject({ type: "finish", finishReason: "stop" });
  });

  test.each([null, ""])("may have an error that is %j, which is none", (error) => {
    const events = eventsOf(line({ content: "Hello" }, { error }), END);
    expect(events[1]).toEqual({ type: "text", text: "Hello" });
  });

  test("may have more log-probabilities in a line than a call can have arguments", () => {
    const logprobs = Array(200_000).fill({ token: "a", logprob: -1 });
    const finish = eventsOf(line({ content: "a" }, { logprobs }), END).at(-1);
    expect((finish as { logprobs?: unknown[] }).logprobs).toHaveLength(200_000);
  });

  test("may be nothing but an end token", () => {
    const events = eventsOf({ ...END, eval_count: 1 });
    expect(events).toMatchObject([{ type: "start" }, { type: "finish", finishReason: "stop" }]);
    expect(events[1]).toMatchObject({ timings: { firstTokenMs: undefined } });
  });
});

describe("tool calls", () => {
  const weather = { name: "get_weather", arguments: { city: "Paris" } };

  test("come whole, and are why the reply ended", () => {
    const calls = [
      { id: "call_1", function: { index: 0, ...weather } },
      { id: "call_2", function: { index: 0, name: "nap", arguments: {} } },
    ];
    const events = eventsOf(line({ content: "Wait." }), line({ tool_calls: calls }), END);
    expect(events.slice(1)).toMatchObject([
      { type: "text", text: "Wait." },
      { type: "tool-call", toolCall: { id: "call_1", ...weather } },
      { type: "tool-call", toolCall: { id: "call_2", name: "nap", arguments: {} } },
      { type: "finish", finishReason: "tool_calls" },
    ]);
  });

  test("do not hide that the reply was cut off", () => {
    const cut = { ...END, done_reason: "length" };
    const call = { function: weather };
    expect(eventsOf(line({ tool_calls: [call] }), cut).at(-1)).toMatchObject({
      finishReason: "length",
    });
  });

  test("are content, whatever was counted", () => {
    const { eval_count: _count, ...uncounted } = END;
    const finish = eventsOf(line({ tool_calls: [{ function: weather }] }), uncounted).at(-1);
    expect(finish).toMatchObject({ finishReason: "tool_calls" });
  });

  test("without an id get one each", () => {
    const [first, second] = callsOf({ function: weather }, { id: "", function: weather });
    expect(first).toEqual({ id: expect.stringMatching(/^call_.{8,}/), ...weather });
    expect(second!.id).not.toBe(first!.id);
  });

  test.each([
    ['{"city":"Paris"}', { arguments: { city: "Paris" } }],
    ['{"city":', { arguments: {}, invalidArguments: '{"city":' }],
    ["[1]", { arguments: {}, invalidArguments: "[1]" }],
    [[1], { arguments: {}, invalidArguments: "[1]" }],
    [null, { arguments: {}, invalidArguments: "null" }],
    [undefined, { arguments: {}, invalidArguments: "null" }],
  ])("with the arguments %j have %j", (given, expected) => {
    const [call] = callsOf({ id: "1", function: { name: "nap", arguments: given } });
    expect(call).toEqual({ id: "1", name: "nap", ...expected });
  });

  test("that are nested without end are none", () => {
    const given = JSON.parse(`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`);
    expect(() => callsOf({ function: { name: "nap", arguments: given } })).toThrow(
      expect.objectContaining({ code: "protocol" }),
    );
  });

  test.each([[{}], [{ function: { arguments: {} } }], [{ function: { name: 5 } }], ["look"]])(
    "such as %j are none",
    (call) => {
      expect(() => callsOf(call)).toThrow(expect.objectContaining({ code: "protocol" }));
    },
  );
});

describe("log-probabilities", () => {
  const spelt = (token: string) => ({ token, logprob: -0.5, bytes: [...Buffer.from(token)] });

  test("are collected from all lines, also from those without text", () => {
    const finish = eventsOf(
      line({ content: "Hi" }, { logprobs: [{ ...spelt("Hi"), top_logprobs: [spelt("Ho")] }] }),
      line({}, { logprobs: [spelt("!"), spelt("?")] }),
      END,
    ).at(-1);
    expect(finish).toMatchObject({
      logprobs: [
        { token: "Hi", logprob: -0.5, topLogprobs: [{ token: "Ho", logprob: -0.5 }] },
        { token: "!", logprob: -0.5, topLogprobs: [] },
        { token: "?", logprob: -0.5, topLogprobs: [] },
      ],
    });
  });

  test("have bytes only where these say more than the token", () => {
    const logprobs = [spelt("Hi"), { ...spelt("\uFFFD"), bytes: [240, 159] }, spelt("\uFFFD")];
    const finish = eventsOf(line({ content: "Hi" }, { logprobs }), END).at(-1) as {
      logprobs?: { bytes?: number[] }[];
    };
    expect(finish.logprobs!.map(({ bytes }) => bytes)).toEqual([undefined, [240, 159], undefined]);
  });
});

describe("fails", () => {
  test("where the end is missing, and says why that may be", () => {
    const finish = () => eventsOf(line({ content: "Hello" }));
    expect(finish).toThrow(ProtocolError);
    expect(finish).toThrow(
      expect.objectContaining({
        code: "stream_truncated",
        message: `The reply of Ollama's model "tiny" ended before its end.`,
        provider: "ollama",
        url: "http://localhost:1",
        model: "tiny",
        hint: expect.stringContaining("repeats itself"),
      }),
    );
  });

  test.each([
    ["of a reply without tokens", [{ ...END, eval_count: 0 }]],
    ["of a reply without counts", [{ ...END, eval_count: undefined }]],
    ["of loading the model", [{ ...END, eval_count: undefined, done_reason: "load" }]],
    [
      "of no calls",
      [line({ tool_calls: null }), line({ tool_calls: [] }), { ...END, eval_count: 0 }],
    ],
  ])("where there is nothing but the end %s", (_of, lines) => {
    expect(() => eventsOf(...lines)).toThrow(expect.objectContaining({ code: "empty_response" }));
  });

  test("where another model answers", () => {
    const reply = newReply();
    const read = () => reply.read([line({ content: "Hello" }, { model: "huge" })]);
    expect(read).toThrow(ModelNotFoundError);
    expect(read).toThrow('Ollama was asked for "tiny", but "huge" answered.');
  });

  test("where the server reports an error", () => {
    const message = "an error was encountered while running the model: unexpected EOF";
    const read = () => newReply().read([line({ content: "Hello" }), { error: message }]);
    expect(read).toThrow(expect.objectContaining({ code: "model_crashed", model: "tiny" }));
  });

  test("without the key that a server repeats", () => {
    const where = { provider: "ollama", url: "http://localhost:1", secret: "my-key" } as const;
    const asked = { model: "tiny", where, warnings: [], startedAt: 0 };
    for (const odd of [{ echo: "my-key" }, line({}, { model: "my-key" })]) {
      const read = () => new ChatReply(asked).read([odd]);
      expect(read).toThrow("[redacted]");
      expect(read).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining("my-key") }),
      );
    }
  });

  test.each([[5], [null], ["text"], [[]], [{}], [{ done: false }], [{ choices: [] }]])(
    "where a line is %j",
    (odd) => {
      expect(() => newReply().read([odd])).toThrow(
        expect.objectContaining({ code: "protocol", provider: "ollama" }),
      );
    },
  );
});
