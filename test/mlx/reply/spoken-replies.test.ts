import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MlxProvider } from "../../../src/providers/mlx.js";
import type { LLMRequest } from "../../../src/types.js";
import { collect, failureOf } from "../../contracts/provider-contract.js";
import { describeNative } from "../../helpers/native.js";
import { makeSpeakingModel, plainTemplate } from "../../helpers/speaking-model.js";
import { DIALECT_REPLIES, TOOLS } from "../tools/dialect-replies.js";

jest.setTimeout(60_000);

const GO = "<|go|>";
const places = mkdtempSync(join(tmpdir(), "mlx-spoken-"));
afterAll(() => rmSync(places, { recursive: true }));

describeNative("replies that a model speaks", () => {
  let provider: MlxProvider;
  beforeAll(() => {
    provider = new MlxProvider({ folder: places });
  });
  afterAll(() => provider.close());

  async function say(name: string, pieces: string[], template: string, special: string[] = []) {
    const model = join(places, name.replace(/\W+/g, "-"));
    await makeSpeakingModel(model, {
      template: plainTemplate(template, GO),
      special: [GO, ...special],
      scripts: [{ after: GO, pieces }],
    });
    return (request: Omit<LLMRequest, "messages"> = {}) =>
      collect(provider, { messages: "Go.", model, temperature: 0, ...request });
  }

  test.each(DIALECT_REPLIES)("$family: its calls come through", async (golden) => {
    const { family, template, reply, special = [], calls, text = "", reasoning } = golden;
    const ask = await say(family, piecesOf(reply, special), template, special);
    const { response } = await ask({ tools: TOOLS });
    expect(response).toMatchObject({ content: text, finishReason: "tool_calls", warnings: [] });
    expect(response.reasoning).toBe(reasoning);
    expect(response.toolCalls!.map(({ id: _id, ...said }) => said)).toEqual(calls);
  });

  const THINK = ["<think>", "</think>"];
  const thoughts = ["<think>", "\n", "One, ", "two.", "\n", "</think>", "\n\n", "Three", "."];

  test("reasoning is kept apart from the content, and its tokens are counted", async () => {
    const ask = await say("thinker", thoughts, THINK.join(""), THINK);
    const { response, events } = await ask();
    expect(response).toMatchObject({ content: "Three.", reasoning: "One, two." });
    expect(response.usage).toMatchObject({ reasoningTokens: 6, completionTokens: 10 });
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(["start", "reasoning", "text", "finish"]),
    );
  });

  test("reasoning that the prompt has begun ends where its tag ends", async () => {
    const model = join(places, "begun");
    await makeSpeakingModel(model, {
      template: plainTemplate("</think>", `<think>${GO}`),
      special: [GO],
      scripts: [{ after: GO, pieces: ["One.", "</thi", "nk>", "Two."] }],
    });
    const { response } = await collect(provider, { messages: "<think>", model });
    expect(response).toMatchObject({ content: "Two.", reasoning: "One." });
  });

  test("a stop text counts in the content only, and ends it", async () => {
    const pieces = ["<think>", "a STOP b", "</think>", "c ST", "OP d"];
    const ask = await say("stopper", pieces, THINK.join(""), THINK);
    const { response } = await ask({ stop: "STOP" });
    expect(response).toMatchObject({ reasoning: "a STOP b", content: "c ", finishReason: "stop" });
    expect(response.usage.completionTokens).toBe(5);
  });

  test("reasoning beyond its budget is ended, and the model answers", async () => {
    const model = join(places, "long-thinker");
    await makeSpeakingModel(model, {
      template: plainTemplate("<think></think>", GO),
      special: [GO, ...THINK],
      scripts: [
        { after: GO, pieces: ["<think>", ..."abcdefgh".split(""), "</think>", "Late."] },
        { after: "\n", pieces: ["In", " time."] },
      ],
    });
    const ask = (maxTokens: number) =>
      collect(provider, { messages: "Go.", model, reasoning: { maxTokens }, logprobs: true });
    const { response } = await ask(4);
    expect(response).toMatchObject({ reasoning: "abc", content: "In time.", finishReason: "stop" });
    const { promptTokens, completionTokens, reasoningTokens, totalTokens } = response.usage;
    expect([reasoningTokens, totalTokens]).toEqual([4, promptTokens! + completionTokens!]);
    // The end of the reasoning is four tokens, and each answer has its end token.
    expect(completionTokens).toBe(4 + 4 + 3);
    expect(response.logprobs).toHaveLength(4 + 2);
    expect((await ask(100)).response).toMatchObject({ reasoning: "abcdefgh", content: "Late." });
    const short = { messages: "Go.", model, reasoning: { maxTokens: 4 }, maxTokens: 6 };
    const cut = (await collect(provider, short)).response;
    expect(cut).toMatchObject({ reasoning: "abc", content: "", finishReason: "length" });
    expect((await collect(provider, { ...short, maxTokens: 9 })).response).toMatchObject({
      content: "In",
      finishReason: "length",
    });
  });

  test("harmony's reasoning has a budget, too", async () => {
    const marks = ["<|channel|>", "<|message|>", "<|end|>", "<|start|>"];
    const model = join(places, "harmonious");
    await makeSpeakingModel(model, {
      template: plainTemplate(marks.join(""), GO),
      special: [GO, ...marks],
      scripts: [
        { after: GO, pieces: ["<|channel|>", "analysis", "<|message|>", "a", "b", "c", "d"] },
        { after: "n", pieces: ["Never."] },
      ],
    });
    const request = { messages: "Go.", model, reasoning: { maxTokens: 3 }, maxTokens: 60 };
    const { response } = await collect(provider, request);
    expect(response).toMatchObject({ reasoning: "ab" });
  });

  test("a call that is cut off says so", async () => {
    const pieces = ["<tool_call>", '{"name": "get_time", ', '"arguments": {"zone": "U', 'TC"}}'];
    const ask = await say("cut-caller", pieces, "<tool_call>");
    const { response } = await ask({ tools: TOOLS, maxTokens: 3 });
    expect(response).toMatchObject({ content: "", finishReason: "length" });
    expect(response.toolCalls).toMatchObject([
      { name: "get_time", arguments: {}, invalidArguments: '{"zone": "U' },
    ]);
  });

  test("without tools on offer nothing is a call", async () => {
    const ask = await say("no-caller", ["<tool_call>", "{}"], "<tool_call>");
    const named = { tools: TOOLS, toolChoice: "none" } as const;
    for (const request of [{}, named]) {
      const { response } = await ask(request);
      expect(response).toMatchObject({ content: "<tool_call>{}", finishReason: "stop" });
      expect(response.toolCalls).toBeUndefined();
    }
  });

  test("tools are refused by name where nothing tells how the model would call them", async () => {
    for (const template of ["", "{{ '' }}"]) {
      const ask = await say(`mute${template.length}`, ["Hm."], template);
      const failure = await failureOf(ask({ tools: TOOLS }));
      expect(failure).toMatchObject({ name: "ValidationError", code: "unsupported" });
      expect(failure.message).toMatch(
        /^The model cannot be given tools: how the model writes calls/,
      );
    }
  });

  test("reasoning that was turned off, but came, is told in a warning", async () => {
    const template = `${THINK.join("")} #}{% if enable_thinking %}{% endif %}{#`;
    const ask = await say("stubborn", thoughts, template, THINK);
    const { response } = await ask({ reasoning: false });
    expect(response.warnings).toEqual(["the model reasoned, though reasoning was turned off"]);
    expect((await ask({ reasoning: "low" })).response.warnings).toEqual([
      "reasoning is on, but the model's chat template knows no degrees of it",
    ]);
  });
});

/** Special tokens on their own, and between them three characters at a time. */
function piecesOf(reply: string, special: string[]): string[] {
  const escaped = (mark: string) => mark.replace(/[|[\]\\^$.*+?(){}]/g, "\\$&");
  const parts =
    special.length > 0 ? reply.split(new RegExp(`(${special.map(escaped).join("|")})`)) : [reply];
  return parts.flatMap((part) =>
    special.includes(part) ? [part] : (part.match(/[\s\S]{1,3}/g) ?? []),
  );
}
