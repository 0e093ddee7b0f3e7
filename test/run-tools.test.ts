import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import * as mini from "zod/mini";
import { AbortError, defineTool, LLMClient, runTools, ValidationError } from "../src/index.js";
import type { RunnableTool, ToolRunOptions } from "../src/index.js";
import { failureOf } from "./contracts/provider-contract.js";
import { describeNative } from "./helpers/native.js";
import { makeSpeakingModel, plainTemplate } from "./helpers/speaking-model.js";
import { type FakeLmStudio, startFakeLmStudio } from "./servers/fake-lm-studio.js";

jest.setTimeout(30_000);

let server: FakeLmStudio;
let client: LLMClient;
beforeEach(async () => {
  server = await startFakeLmStudio({ loaded: ["tiny-chat"] });
  client = new LLMClient({ provider: "lmstudio", baseUrl: server.url, model: "tiny-chat" });
});
afterEach(async () => {
  await client.close();
  await server.close();
});

const add = defineTool({
  name: "add",
  description: "Adds two numbers.",
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => a + b,
});

const calls = (...list: [name: string, given: Record<string, unknown> | string][]) => ({
  toolCalls: list.map(([name, given]) => ({ name, arguments: given })),
});

/** Runs tools; the model makes these calls, and then it answers. */
function run(script: ReturnType<typeof calls>, options: Partial<ToolRunOptions> = {}) {
  server.replies.once(script);
  server.replies.set({ text: ["Done."] });
  return runTools(client, { messages: "Go.", tools: [add], ...options });
}

/** What the model is told of its calls. */
async function told(script: ReturnType<typeof calls>, options: Partial<ToolRunOptions> = {}) {
  const { steps } = await run(script, options);
  return steps[0]!.results.map(({ content }) => content);
}

const bodies = () =>
  server.requests
    .filter(({ path }) => path.includes("chat"))
    .map(({ body }) => JSON.parse(body) as Record<string, unknown>);

test("the calls of a model are made, until it answers", async () => {
  const { response, messages, steps, usage, ended } = await run(calls(["add", { a: 7, b: 5 }]));
  expect([response.content, ended]).toEqual(["Done.", "reply"]);
  expect(steps).toHaveLength(2);
  expect(steps[0]!.results).toMatchObject([{ call: { name: "add" }, output: 12, content: "12" }]);
  const id = steps[0]!.response.toolCalls![0]!.id;
  expect(messages).toEqual([
    { role: "user", content: "Go." },
    { role: "assistant", content: "", toolCalls: [{ id, name: "add", arguments: { a: 7, b: 5 } }] },
    { role: "tool", toolCallId: id, content: "12" },
    { role: "assistant", content: "Done." },
  ]);
  const counts = steps.map((step) => step.response.usage.totalTokens!);
  expect(usage.totalTokens).toBe(counts[0]! + counts[1]!);
  expect(usage.cachedTokens).toBeUndefined();
});

test("the model is told what the tools take, as their schemas have it", async () => {
  const tools: ToolRunOptions["tools"] = [
    add,
    { name: "wait", execute: () => undefined },
    {
      name: "look",
      parameters: { type: "object", properties: { at: { type: "string" } } },
      execute: () => undefined,
    },
    defineTool({
      name: "listen",
      parameters: mini.object({ to: mini.optional(mini.string()) }),
      execute: () => undefined,
    }),
  ];
  await run(calls(), { tools });
  const offered = bodies()[0]!.tools as { function: { name: string; parameters: object } }[];
  expect(offered.map((tool) => [tool.function.name, tool.function.parameters])).toMatchObject([
    [
      "add",
      {
        type: "object",
        properties: { a: { type: "number" }, b: { type: "number" } },
        required: ["a", "b"],
      },
    ],
    ["wait", { type: "object", properties: {} }],
    ["look", { type: "object", properties: { at: { type: "string" } } }],
    ["listen", { type: "object", properties: { to: { type: "string" } } }],
  ]);
  expect(JSON.stringify(offered)).not.toContain("$schema");
});

describe("the model is told", () => {
  test("of arguments that do not fit their schema", async () => {
    const look = {
      name: "look",
      parameters: {
        type: "object",
        properties: { at: { type: "array", items: { type: "string" } } },
        required: ["at"],
        if: { properties: { at: { maxItems: 0 } } },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { properties: { at: true } },
      },
      execute: () => "seen",
    };
    const script = calls(["add", { a: "7" }], ["look", { at: ["x", 1] }], ["look", { at: [] }]);
    const [first, second, third] = await told(script, { tools: [add, look] });
    expect(first).toMatch(/^Error: The arguments are wrong: a: .*number.*; b: .*number/);
    expect(second).toBe("Error: The arguments are wrong: /at/1 must be string");
    expect(third).toBe("seen");
  });

  test("of arguments that are no JSON, and of tools that are not there", async () => {
    const script = calls(["add", "{a: 1}"], ["subtract", {}]);
    expect(await told(script)).toEqual([
      "Error: The arguments are no JSON object: {a: 1}",
      'Error: There is no tool "subtract"; there are: add.',
    ]);
  });

  test("of what goes wrong in a tool", async () => {
    const tools = [
      {
        name: "throws",
        execute: () => {
          throw new Error("No network.");
        },
      },
      { name: "rejects", execute: () => Promise.reject("gone") },
      {
        name: "circular",
        execute: () => {
          const self: object[] = [];
          self.push(self);
          return self;
        },
      },
    ];
    const script = calls(["throws", {}], ["rejects", {}], ["circular", {}]);
    const [first, second, third] = await told(script, { tools });
    expect([first, second]).toEqual(["Error: No network.", "Error: gone"]);
    expect(third).toMatch(/^Error: .*circular/);
  });

  test("of a tool that takes too long, which is ended", async () => {
    let reason: unknown;
    const slow: RunnableTool = {
      name: "slow",
      execute: (_, { signal }) =>
        new Promise(() =>
          signal.addEventListener("abort", () => {
            reason = signal.reason;
          }),
        ),
    };
    const [content] = await told(calls(["slow", {}]), { tools: [slow], toolTimeout: 0.02 });
    expect(content).toBe('Error: The tool "slow" took longer than 0.02 s.');
    expect(reason).toMatchObject({ code: "tool_timeout" });
  });

  test("the results in their own form, and what a schema makes of arguments", async () => {
    const tools = [
      { name: "text", execute: () => "as it is" },
      { name: "data", execute: () => ({ list: [1, "two"] }) },
      { name: "nothing", execute: () => undefined },
      defineTool({
        name: "default",
        parameters: z.object({ unit: z.string().default("°C") }),
        execute: ({ unit }) => unit,
      }),
    ] as ToolRunOptions["tools"];
    const script = calls(["text", {}], ["data", {}], ["nothing", {}], ["default", {}]);
    expect(await told(script, { tools })).toEqual([
      "as it is",
      '{"list":[1,"two"]}',
      "Done.",
      "°C",
    ]);
  });
});

test("the calls of a reply are made at the same time, and answered in their order", async () => {
  let waiting = 0;
  let wake = () => {};
  const both = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const meet = defineTool({
    name: "meet",
    parameters: z.object({ who: z.string() }),
    async execute({ who }) {
      if (++waiting === 2) wake();
      await both;
      return who;
    },
  });
  const script = calls(["meet", { who: "a" }], ["meet", { who: "b" }]);
  expect(await told(script, { tools: [meet] })).toEqual(["a", "b"]);
});

test("a run ends after so many replies, without making the last calls", async () => {
  server.replies.set(calls(["add", { a: 1, b: 1 }]));
  const made = jest.fn();
  const options = { messages: "Go.", tools: [add], maxSteps: 3, onCall: made };
  const { ended, steps, response } = await runTools(client, options);
  expect([ended, steps.length, made.mock.calls.length]).toEqual(["max_steps", 3, 2]);
  expect(response.toolCalls).toHaveLength(1);
});

test("a call that is demanded is demanded once", async () => {
  await run(calls(["add", { a: 1, b: 1 }]), { toolChoice: "required" });
  expect(bodies().map((body) => body.tool_choice)).toEqual(["required", "auto"]);
});

test("hooks hear of events, calls and results", async () => {
  const heard: string[] = [];
  await run(calls(["add", { a: 1, b: 2 }]), {
    onEvent: ({ type }, step) => heard.push(`${step} ${type}`),
    onCall: ({ name }, step) => heard.push(`${step} call ${name}`),
    onResult: ({ content }, step) => heard.push(`${step} result ${content}`),
  });
  expect(heard.filter((line) => !line.endsWith("delta"))).toEqual([
    ...["1 start", "1 tool-call", "1 finish", "1 call add", "1 result 3"],
    ...["2 start", "2 text", "2 finish"],
  ]);
});

test("an abort ends a run at once, and its tools", async () => {
  const controller = new AbortController();
  let ended = false;
  const slow: RunnableTool = {
    name: "slow",
    async execute(_, { signal }) {
      signal.addEventListener("abort", () => {
        ended = true;
      });
      controller.abort(new Error("enough"));
      await sleep(60_000, undefined, { ref: false });
    },
  };
  const failure = await failureOf(
    run(calls(["slow", {}]), { tools: [slow], signal: controller.signal }),
  );
  expect(failure).toBeInstanceOf(AbortError);
  expect([failure.cause, ended]).toEqual([new Error("enough"), true]);
});

test("an error of the provider ends a run", async () => {
  server.replies.once(calls(["add", { a: 1, b: 2 }]));
  const options = { messages: "Go.", tools: [add], model: "nobody/has-this" };
  expect(await failureOf(runTools(client, options))).toMatchObject({ code: "model_mismatch" });
});

test.each([
  [{ tools: [add, add] }, 'two tools are called "add"'],
  [{ maxSteps: 0 }, "maxSteps is 0, but must be a whole number, 1 or more"],
  [{ maxSteps: 1.5 }, "maxSteps is 1.5, but must be a whole number, 1 or more"],
  [{ toolTimeout: -1 }, "toolTimeout is -1, but must be a number of seconds above 0"],
  [
    { tools: [{ name: "x", parameters: { $ref: "https://example.org/x" }, execute: () => 1 }] },
    'The schema of the tool "x" cannot be used: ',
  ],
  [
    { tools: [{ name: "x", parameters: { "~standard": { vendor: "v" } }, execute: () => 1 }] },
    'schemas of "v" cannot be told in JSON',
  ],
])("refuses %j", async (options, problem) => {
  const failure = await failureOf(runTools(client, { messages: "Go.", tools: [add], ...options }));
  expect(failure).toBeInstanceOf(ValidationError);
  expect(failure.message).toContain(problem);
  expect(server.requests).toEqual([]);
});

describeNative("on MLX", () => {
  test("a model of its own calls a tool and reads the result", async () => {
    const folder = mkdtempSync(join(tmpdir(), "run-tools-"));
    const json = '{"name": "add", "arguments": {"a": 7, "b": 5}}';
    await makeSpeakingModel(folder, {
      template: plainTemplate("<tool_call>", "<|go|>", "{{ messages[-1].content[-1:] }}"),
      special: ["<|go|>", "<tool_call>", "</tool_call>"],
      scripts: [
        {
          after: "<|go|>",
          pieces: ["<tool_call>", json.slice(0, 20), json.slice(20), "</tool_call>"],
        },
        { after: "2", pieces: ["It is", " twelve."] },
      ],
    });
    await using mlx = new LLMClient({ provider: "mlx", baseUrl: folder });
    const { response, steps } = await runTools(mlx, { messages: "What is 7 + 5?", tools: [add] });
    expect(steps[0]!.results).toMatchObject([{ output: 12 }]);
    expect(response.content).toBe("It is twelve.");
    rmSync(folder, { recursive: true });
  });
});
