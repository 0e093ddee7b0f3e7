import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MlxProvider } from "../../src/providers/mlx.js";
import type { Tool, ToolChoice } from "../../src/types.js";
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
const CHOICE = { type: "function", function: { name: "book" } } as const;

/** Dialects whose calls cannot be enforced. */
const FREE = ["Gemma 4", "FunctionGemma", "LFM2", "LFM2 in JSON", "Olmo 3", "DeepSeek V3.2"];
const enforced = DIALECT_REPLIES.filter(({ family }) => !FREE.includes(family));

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
    return (toolChoice: ToolChoice, tools = [...TOOLS, BOOK]) =>
      collect(provider, {
        messages: "Go.",
        model,
        tools,
        toolChoice,
        temperature: 1,
        seed: 3,
        reasoning: false,
        maxTokens: 3_000,
      });
  }

  test.each(enforced)("$family: comes, and fits its schema", async (golden) => {
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

  test("is refused by name where it cannot be enforced", async () => {
    const ask = await chatterer("free", "<|tool_call_start|>");
    const failure = await failureOf(ask("required"));
    expect(failure).toMatchObject({ name: "ValidationError", code: "unsupported" });
    expect(failure.message).toBe("MLX does not support toolChoice for this model.");
    const other = { type: "function", function: { name: "other" } } as const;
    const named = await chatterer("named", "<tool_call>");
    expect((await failureOf(named(other))).message).toBe(
      'toolChoice names "other", but no tool has that name.',
    );
  });
});
