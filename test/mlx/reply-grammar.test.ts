import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { schemaCheck } from "../../src/reply-form.js";
import { MlxProvider } from "../../src/providers/mlx.js";
import type { LLMRequest, Tool, ToolCall, ToolChoice } from "../../src/types.js";
import { collect, failureOf } from "../contracts/provider-contract.js";
import { describeNative } from "../helpers/native.js";
import { makeSpeakingModel, plainTemplate } from "../helpers/speaking-model.js";
import { DIALECT_REPLIES, TOOLS } from "./tools/dialect-replies.js";

jest.setTimeout(120_000);

const GO = "<|go|>";
const places = mkdtempSync(join(tmpdir(), "mlx-choice-"));
afterAll(() => rmSync(places, { recursive: true }));

/** Of few words, so that a model that knows none comes to an end. */
const BOOK: Tool = {
  type: "function",
  function: {
    name: "book",
    parameters: {
      type: "object",
      properties: {
        city: { enum: ["Paris", "New York"] },
        nights: { type: "integer", minimum: 1, maximum: 9 },
        window: { type: "boolean" },
      },
      required: ["city", "nights"],
      additionalProperties: false,
    },
  },
};
/** Of everything, but few words. */
const PLAN = {
  type: "object",
  properties: {
    quick: { type: ["boolean", "null"] },
    stops: { type: "array", items: { $ref: "#/$defs/stop" }, minItems: 1, maxItems: 2 },
    price: { anyOf: [{ type: "integer", minimum: 1, maximum: 9 }, { type: "null" }] },
    mood: { type: ["null", "string"], enum: ["free", null] },
    none: { type: "array", maxItems: 0 },
  },
  required: ["stops", "price"],
  additionalProperties: false,
  $defs: {
    stop: {
      type: "object",
      properties: { first: { enum: ['A "b"', 7, null] }, last: { enum: ["c, d"] } },
      required: ["last"],
      additionalProperties: false,
    },
  },
};
const CHOICE = { type: "function", function: { name: "book" } } as const;

describeNative("a call that is demanded", () => {
  let provider: MlxProvider;
  beforeAll(() => {
    provider = new MlxProvider({ folder: places });
  });
  afterAll(() => provider.close());

  /** A model that would rather say something else. */
  async function chatterer(name: string, template: string, special: string[] = []) {
    const model = join(places, name.replace(/\W+/g, "-"));
    await makeSpeakingModel(model, {
      template: plainTemplate(template, GO),
      special: [GO, ...special],
      scripts: [{ after: GO, pieces: ["No, ", "thank you."] }],
    });
    return (toolChoice: ToolChoice, tools = [...TOOLS, BOOK], seed = 3) =>
      collect(provider, {
        messages: "Go.",
        model,
        tools,
        toolChoice,
        temperature: 1,
        seed,
        reasoning: false,
        maxTokens: 3_000,
      });
  }

  test.each(DIALECT_REPLIES)("$family: comes, and fits its schema", async (golden) => {
    const { family, template, special } = golden;
    const ask = await chatterer(family, template, special);
    const { response } = await ask(CHOICE);
    expect(response).toMatchObject({ content: "", finishReason: "tool_calls" });
    for (const { name, arguments: given, invalidArguments } of response.toolCalls!) {
      expect([name, invalidArguments]).toEqual(["book", undefined]);
      const { city, nights, window = true, ...others } = given;
      expect(["Paris", "New York"]).toContain(city);
      expect(typeof nights === "number" && nights >= 1 && nights <= 9).toBe(true);
      expect([typeof window, others]).toEqual(["boolean", {}]);
    }
  });

  test.each([
    ["required", ["get_time", "book"]],
    [CHOICE, ["book"]],
  ] as const)("of %j is one of those tools, after thoughts or at once", async (choice, names) => {
    const model = join(places, "thinker");
    const time: Tool = {
      type: "function",
      function: { name: "get_time", parameters: { type: "object", additionalProperties: false } },
    };
    await makeSpeakingModel(model, {
      template: plainTemplate("<think></think><tool_call>", GO),
      special: [GO, "<think>", "</think>"],
      scripts: [{ after: GO, pieces: ["<think>", "Let me", " see.", "</think>", "No."] }],
    });
    const ask = (reasoning?: false) => {
      const request = {
        messages: "Go.",
        model,
        tools: [time, BOOK],
        toolChoice: choice,
        reasoning,
      };
      return collect(provider, { ...request, seed: 1, maxTokens: 3_000 });
    };
    const { response } = await ask();
    expect(response).toMatchObject({ reasoning: "Let me see.", content: "" });
    for (const { name } of response.toolCalls!) expect(names).toContain(name);
    const atOnce = (await ask(false)).response;
    expect(atOnce.reasoning).toBeUndefined();
    expect(atOnce.toolCalls!.length).toBeGreaterThan(0);
  });

  test("comes behind the thoughts that the prompt has begun", async () => {
    const model = join(places, "begun");
    await makeSpeakingModel(model, {
      template: plainTemplate("</think><tool_call>", `<think>${GO}`),
      special: [GO, "</think>"],
      scripts: [{ after: GO, pieces: ["Let me", " see.", "</think>", "No."] }],
    });
    const request = { messages: "Go.", model, tools: [BOOK], toolChoice: CHOICE, maxTokens: 3_000 };
    const { response } = await collect(provider, request);
    expect(response).toMatchObject({ reasoning: "Let me see.", content: "" });
    expect(response.toolCalls![0]).toMatchObject({ name: "book" });
    const brief = { ...request, reasoning: { maxTokens: 1 } };
    expect((await collect(provider, brief)).response).toMatchObject({
      reasoning: "Let me",
      content: "",
      finishReason: "tool_calls",
    });
  });

  test.each(["Gemma 4", "FunctionGemma", "LFM2", "Olmo 3", "DeepSeek V3.2", "GLM"])(
    "%s: fits a schema with lists, objects and references",
    async (family) => {
      const { template, special } = DIALECT_REPLIES.find((each) => each.family === family)!;
      const ask = await chatterer(`rich-${family}`, template, special);
      const plan: Tool = { type: "function", function: { name: "plan", parameters: PLAN } };
      const fits = await schemaCheck(PLAN);
      for (const seed of [1, 2, 3]) {
        const { toolCalls } = (await ask("required", [plan], seed)).response;
        for (const { arguments: given, invalidArguments } of toolCalls!) {
          expect([given, invalidArguments, fits(given)]).toEqual([given, undefined, undefined]);
        }
      }
    },
  );

  test("is not kept to what its dialect cannot hold, and a warning says so", async () => {
    const { template, special } = DIALECT_REPLIES.find(({ family }) => family === "Gemma 4")!;
    const ask = await chatterer("loose", template, special);
    const withCode = (code: object): Tool => ({
      type: "function",
      function: { name: "open", parameters: { type: "object", properties: { code } } },
    });
    const { response } = await ask("required", [
      withCode({ type: "string", pattern: "a", maxLength: 3 }),
    ]);
    expect(response.warnings).toContain(
      'the calls of this model are not kept to "pattern" and "maxLength" of texts',
    );
    const failure = await failureOf(ask("required", [withCode({ not: {} })]));
    expect(failure).toMatchObject({ name: "ValidationError", code: "unsupported" });
    expect(failure.message).toMatch(/does not know "not"/);
    const either = { anyOf: [{ required: ["a"] }], properties: { a: {} } };
    expect((await failureOf(ask("required", [withCode(either)]))).message).toMatch(/alternatives/);
  });

  test.each(["Gemma 4", "Olmo 3"])("%s: may have lists and objects of anything", async (family) => {
    const { template, special } = DIALECT_REPLIES.find((each) => each.family === family)!;
    const ask = await chatterer(`any-${family}`, template, special);
    const { response } = await ask("required", [TOOLS[2]!]);
    expect(response.toolCalls![0]).toMatchObject({ name: "write_note" });
  });

  test("is refused where no tool has the name", async () => {
    const other = { type: "function", function: { name: "other" } } as const;
    const named = await chatterer("named", "<tool_call>");
    expect((await failureOf(named(other))).message).toBe(
      'toolChoice names "other", but no tool has that name.',
    );
  });
});

describeNative("a form that is demanded", () => {
  let provider: MlxProvider;
  beforeAll(() => {
    provider = new MlxProvider({ folder: places });
  });
  afterAll(() => provider.close());

  const responseFormat = { type: "regex", pattern: "(yes|no)/" } as const;
  const namesOf = (calls?: ToolCall[]) => calls && [...new Set(calls.map(({ name }) => name))];
  const THINK = ["<think>", "</think>"];
  const HARMONY = ["<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|return|>"];

  /** A model that says this, and would rather not keep to a form. */
  async function speaker(name: string, template: string, pieces: string[], special: string[] = []) {
    const model = join(places, name.replace(/\W+/g, "-"));
    await makeSpeakingModel(model, {
      template: plainTemplate(template, GO),
      special: [GO, ...special],
      scripts: [{ after: GO, pieces }],
    });
    return async (request: Partial<LLMRequest> = {}) => {
      const wanted = { messages: "Go.", model, temperature: 0, maxTokens: 60, responseFormat };
      const { response } = await collect(provider, { ...wanted, ...request });
      const { content, reasoning, finishReason, toolCalls } = response;
      return { content, reasoning, finishReason, calls: namesOf(toolCalls) };
    };
  }

  test.each<[string, string[], string[]]>([
    ["special tokens", THINK, THINK],
    ["tokens of text", THINK, []],
    ["tags that are no tokens", ["<", "think>", "</thi", "nk>"], []],
  ])("leaves the model to think before, between %s", async (name, pieces, special) => {
    const half = pieces.length / 2;
    const [open, close] = [pieces.slice(0, half), pieces.slice(half)];
    const thoughts = [...open, "a </b", "> [/c", "\n\nd", ...close, "\n\n", "yes", "."];
    const ask = await speaker(name, THINK.join(""), thoughts, special);
    const reply = { reasoning: "a </b> [/c\n\nd", content: "yes/", finishReason: "stop" };
    expect(await ask()).toMatchObject(reply);
    expect(await ask({ reasoning: { maxTokens: 2 } })).toMatchObject({
      reasoning: expect.stringMatching(/^a/),
      content: expect.stringMatching(/^(yes|no)\/$/),
    });
    const atOnce = await ask({ reasoning: false });
    expect(atOnce.reasoning).toBeUndefined();
    expect(atOnce.content).toMatch(/^(yes|no)\/$/);
  });

  test("holds at once for a model that does not think", async () => {
    const ask = await speaker("doer", THINK.join(""), ["no", "."], THINK);
    expect(await ask()).toMatchObject({ content: "no/", reasoning: undefined });
  });

  test("begins behind the thoughts that the prompt has begun", async () => {
    const model = join(places, "form-begun");
    await makeSpeakingModel(model, {
      template: plainTemplate("</think>", `<think>${GO}`),
      special: [GO],
      scripts: [{ after: GO, pieces: ["One.", "</thi", "nk>", "no", "."] }],
    });
    const request = { messages: "Go.", model, temperature: 0, maxTokens: 60, responseFormat };
    const { response } = await collect(provider, request);
    expect(response).toMatchObject({ reasoning: "One.", content: "no/" });
  });

  test("holds the final channel of harmony", async () => {
    const thoughts = ["<|channel|>", "analysis", "<|message|>", "Hm.", "<|end|>", "<|start|>"];
    const template = HARMONY.join("");
    const ask = await speaker("harmony", template, [...thoughts, "assistant"], HARMONY);
    const final = expect.stringMatching(/^(yes|no)\/$/);
    expect(await ask()).toMatchObject({ reasoning: "Hm.", content: final });
    expect(await ask({ reasoning: { maxTokens: 1 } })).toMatchObject({ content: final });
    const hasty = await speaker("hasty", template, ["No."], HARMONY);
    const atOnce = { reasoning: undefined, content: final };
    expect(await hasty({ reasoning: false })).toMatchObject(atOnce);
    const caller = await speaker("caller", template, ["<|channel|>", "commentary"], HARMONY);
    const tools = { tools: [BOOK], maxTokens: 3_000 };
    expect(await caller(tools)).toMatchObject({ content: "", calls: ["book"] });
  });

  test("leaves the choice between content and calls, both of which fit", async () => {
    const special = ["<tool_call>", "</tool_call>"];
    const tools = { tools: [BOOK], maxTokens: 3_000 };
    const caller = await speaker("form-caller", special.join(""), ["<tool_call>", "No."], special);
    expect(await caller(tools)).toMatchObject({ content: "", calls: ["book"] });
    expect(await caller({ ...tools, toolChoice: "none" })).toMatchObject({ calls: undefined });
    const answerer = await speaker("form-answerer", special.join(""), ["yes", "."], special);
    expect(await answerer(tools)).toMatchObject({ content: "yes/", calls: undefined });
    expect(await answerer({ ...tools, toolChoice: "required" })).toMatchObject({ calls: ["book"] });
  });

  test("is refused beside tools whose calls nothing tells from text", async () => {
    const ask = await speaker("llama", "<|python_tag|>", ["No."], ["<|python_tag|>"]);
    const failure = await failureOf(ask({ tools: [BOOK] }));
    expect(failure).toMatchObject({ name: "ValidationError", code: "unsupported" });
    expect(failure.message).toBe(
      "MLX does not support responseFormat beside tools for this model.",
    );
  });

  test("may be a grammar of its own, or JSON", async () => {
    const ask = await speaker("nested", THINK.join(""), ["<think>", "</think>"], THINK);
    const grammar = 'start: "a{" B # }\nB: /[b\\/]/ "}"';
    expect(await ask({ responseFormat: { type: "grammar", grammar } })).toMatchObject({
      content: expect.stringMatching(/^a\{[b/]\}$/),
    });
    const schema = { $ref: "#/$defs/a", $defs: { a: { enum: ["</think>", "{"] } } };
    const { content } = await ask({ responseFormat: { type: "json_schema", schema } });
    expect(["</think>", "{"]).toContain(JSON.parse(content));
    const wrong = { type: "json_schema", schema: { not: {} } } as const;
    expect((await failureOf(ask({ responseFormat: wrong }))).message).toBe(
      'MLX cannot follow the JSON Schema: it does not know "not" at #.',
    );
  });
});
